package manifest

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Dev is one environment. Field tags: json is the key, doc its documentation,
// alias another key for the same field, and expand says that ${VAR} is
// replaced.
type Dev struct {
	Name      string `json:"name,omitempty" expand:"true" doc:"Name of the environment: lower-case letters, digits and dashes. Without a selector it is also the name of the Deployment or StatefulSet."`
	Namespace string `json:"namespace,omitempty" expand:"true" doc:"Namespace of the workload. The -n flag and OKTETO_NAMESPACE win."`
	Context   string `json:"context,omitempty" expand:"true" doc:"Context of the kubeconfig. The -c flag and OKTETO_CONTEXT win."`
	// Selector finds the workload by its labels when it is not called Name.
	Selector map[string]string `json:"selector,omitempty" alias:"labels" expand:"true" doc:"Labels of the workload, all of which must match; exactly one workload may."`
	Kind     Kind              `json:"k8sObjectType,omitempty" doc:"Kind of the workload when a Deployment and a StatefulSet share the name."`
	// Autocreate makes a workload of its own when there is none.
	Autocreate bool `json:"autocreate,omitempty" doc:"Create a workload for the environment instead of replacing one."`

	Container string `json:"container,omitempty" doc:"Container to develop in; the first one unless set."`
	// Image is ImageBuild's name.
	Image           string            `json:"-"`
	ImageBuild      Image             `json:"image,omitempty" expand:"true" doc:"Image of the development container, its name or how up --build makes it; the workload's own unless set."`
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty" enum:"Always,IfNotPresent,Never" doc:"When to pull the image. Always, unless the image is the workload's own, whose policy is kept."`
	// Command and Args are what `up` runs in the dev container: see Argv.
	Command Command `json:"command,omitempty" doc:"Command that up runs: a list, or a string that is given to sh -c if it has spaces."`
	Args    Command `json:"args,omitempty" doc:"Arguments added to the command."`
	Workdir string  `json:"workdir,omitempty" alias:"mountpath" doc:"Working directory in the container, absolute."`

	Sync    Sync      `json:"sync,omitempty" expand:"true" doc:"Folders to synchronize, local:remote. The folder of the manifest and workdir unless set."`
	Forward []Forward `json:"forward,omitempty" expand:"true" doc:"Ports of the laptop that lead to the pod, 8080:80, or to a service, 5432:postgres:5432."`
	Reverse []Reverse `json:"reverse,omitempty" expand:"true" doc:"Ports of the pod that lead to the laptop, remote:local."`
	// Remote is the laptop's SSH port; 0 takes a free one.
	Remote int `json:"remote,omitempty" min:"0" max:"65535" doc:"SSH port on the laptop; a free one unless set."`
	// SSHServerPort in the pod; Load fills in the default.
	SSHServerPort int    `json:"sshServerPort,omitempty" min:"1" max:"65535" doc:"SSH port in the pod, 2222 unless set."`
	Interface     string `json:"interface,omitempty" doc:"Address of the laptop that forwards listen on, localhost unless set."`

	// Environment in the order of the file, values expanded, env files merged
	// in below; a name appears once.
	Environment Environment `json:"environment,omitempty" expand:"true" doc:"Environment variables: a map, or a list of KEY=VALUE, or KEY for the laptop's own value."`
	EnvFiles    StringList  `json:"envFiles,omitempty" expand:"true" doc:"Files of KEY=VALUE lines; later files win, environment wins over all."`
	Secrets     []Secret    `json:"secrets,omitempty" expand:"true" doc:"Files of the laptop to place in the container, local:remote[:octal mode]."`

	Resources        Resources           `json:"resources,omitempty" doc:"Requests and limits; what is not named is kept from the workload."`
	SecurityContext  *SecurityContext    `json:"securityContext,omitempty" doc:"Security settings; what is not named is kept from the workload."`
	Volumes          []Volume            `json:"volumes,omitempty" expand:"true" doc:"Folders of the container to keep on the environment's volume, absolute paths."`
	ExternalVolumes  []ExternalVolume    `json:"externalVolumes,omitempty" expand:"true" doc:"Existing claims to mount, name[:subpath]:mountpath."`
	PersistentVolume PersistentVolume    `json:"persistentVolume,omitempty" doc:"The environment's own volume."`
	Services         []Service           `json:"services,omitempty" doc:"Further workloads that run the same synchronized code."`
	Probes           Probes              `json:"probes,omitempty" alias:"healthchecks" doc:"Probes of the workload to keep: true, false, or one by one."`
	Lifecycle        *Lifecycle          `json:"lifecycle,omitempty" doc:"Lifecycle hooks: true keeps, false removes the workload's, or one by one."`
	Tolerations      []corev1.Toleration `json:"tolerations,omitempty" doc:"Tolerations added to the workload's."`
	NodeSelector     map[string]string   `json:"nodeSelector,omitempty" doc:"Node selector in place of the workload's."`
	Affinity         *corev1.Affinity    `json:"affinity,omitempty" doc:"Affinity in place of the workload's."`
	Annotations      map[string]string   `json:"annotations,omitempty" doc:"Annotations of the development pod."`
	Metadata         Metadata            `json:"metadata,omitempty" doc:"Labels and annotations of the development pod."`
	ServiceAccount   string              `json:"serviceAccount,omitempty" doc:"Service account in place of the workload's."`
	PriorityClass    string              `json:"priorityClassName,omitempty" doc:"Priority class in place of the workload's."`
	Timeout          Timeout             `json:"timeout,omitempty" doc:"How long to wait, such as 60s: a duration, or default and resources. Resources is the time a pod may take to run."`
	InitContainer    InitContainer       `json:"initContainer,omitempty" doc:"The container that delivers okteto's agents."`
	InitFromImage    *bool               `json:"initFromImage,omitempty" doc:"Whether empty volumes start with what the image has at their path. They do unless this is false."`
	Replicas         *int32              `json:"replicas,omitempty" min:"1" max:"1" doc:"An environment has one replica."`
	Mode             string              `json:"mode,omitempty" enum:"sync" doc:"Only sync is supported."`

	// Path and Line of the environment in its manifest, for messages.
	Path string `json:"-"`
	Line int    `json:"-"`

	field     string // dotted path of the environment, empty in the flat form
	positions map[string]position
}

// Kind of a workload.
type Kind string

// The kinds that can be put in development mode.
const (
	Deployment  Kind = "Deployment"
	StatefulSet Kind = "StatefulSet"
)

// Argv is the command with its arguments.
func (d *Dev) Argv() []string {
	return append(append([]string(nil), d.Command...), d.Args...)
}

// Command is an argument vector.
type Command []string

// StringList is a list of strings that may be written as one string.
type StringList []string

// Sync says what is synchronized, and how.
type Sync struct {
	Folders     []SyncFolder `json:"folders,omitempty" doc:"local:remote."`
	Compression bool         `json:"compression,omitempty" doc:"Whether data is compressed on the way."`
	Verbose     bool         `json:"verbose,omitempty" doc:"Whether the agents log in detail in the pod's log."`
	// RescanInterval is how often the whole folder is looked at again.
	RescanInterval int `json:"rescanInterval,omitempty" min:"0" doc:"Seconds between full scans, 300 unless set; 0 turns them off."`
}

// SyncFolder is one synchronized folder.
type SyncFolder struct {
	// LocalPath is absolute, in the laptop's form; RemotePath is absolute.
	LocalPath, RemotePath string
}

// Forward leads a port of the laptop to a port of the pod, or of Service.
type Forward struct {
	LocalPort, RemotePort int
	// Service is a host name as the pod resolves it; empty is the pod itself.
	Service string
	// Labels select a service instead of its name.
	Labels map[string]string
}

// Reverse leads a port of the pod to a port of the laptop.
type Reverse struct {
	RemotePort, LocalPort int
}

// EnvVar is one environment variable.
type EnvVar struct {
	Name, Value string
}

// Environment is a list of variables.
type Environment []EnvVar

// Secret is a file of the laptop that is placed in the container.
type Secret struct {
	// LocalPath and RemotePath are absolute.
	LocalPath, RemotePath string
	// Mode is nil when the manifest does not say.
	Mode *int32
}

// Resources are requests and limits by resource name.
type Resources struct {
	Requests ResourceList `json:"requests,omitempty" doc:"Requested amounts by resource."`
	Limits   ResourceList `json:"limits,omitempty" doc:"Upper limits by resource."`
}

// ResourceList is a set of named amounts.
type ResourceList map[corev1.ResourceName]resource.Quantity

// SecurityContext of the development container and pod.
type SecurityContext struct {
	RunAsUser                *int64                 `json:"runAsUser,omitempty" min:"0" max:"2147483647" doc:"User id of the container."`
	RunAsGroup               *int64                 `json:"runAsGroup,omitempty" min:"0" max:"2147483647" doc:"Group id of the container."`
	FSGroup                  *int64                 `json:"fsGroup,omitempty" min:"0" max:"2147483647" doc:"Group that owns the pod's volumes."`
	RunAsNonRoot             *bool                  `json:"runAsNonRoot,omitempty" doc:"Refuse to run as root."`
	AllowPrivilegeEscalation *bool                  `json:"allowPrivilegeEscalation,omitempty" doc:"Whether set-user-ID programs gain privileges."`
	ReadOnlyRootFilesystem   *bool                  `json:"readOnlyRootFilesystem,omitempty" doc:"Mount the image read-only."`
	Capabilities             *Capabilities          `json:"capabilities,omitempty" doc:"Linux capabilities added to, and dropped from, the workload's."`
	SeccompProfile           *corev1.SeccompProfile `json:"seccompProfile,omitempty" doc:"Seccomp profile of the container."`
}

// Capabilities are added to and dropped from the workload's own.
type Capabilities struct {
	Add  []corev1.Capability `json:"add,omitempty" doc:"Capabilities to add."`
	Drop []corev1.Capability `json:"drop,omitempty" doc:"Capabilities to drop; ALL drops every one."`
}

// Volume is a folder of the container that lives on the environment's volume.
type Volume struct {
	RemotePath string
}

// ExternalVolume is a claim that exists already.
type ExternalVolume struct {
	Name, SubPath, MountPath string
}

// PersistentVolume is the environment's own claim.
type PersistentVolume struct {
	// Enabled is nil when the manifest does not say, which means yes.
	Enabled      *bool                             `json:"enabled,omitempty" doc:"Whether the environment has a volume; true unless set."`
	Size         *resource.Quantity                `json:"size,omitempty" doc:"Size of the volume, 5Gi unless set."`
	StorageClass string                            `json:"storageClass,omitempty" doc:"Storage class; the cluster's default unless set."`
	AccessMode   corev1.PersistentVolumeAccessMode `json:"accessMode,omitempty" enum:"ReadWriteOnce,ReadWriteMany,ReadWriteOncePod" doc:"Access mode, ReadWriteOnce unless set."`
	VolumeMode   corev1.PersistentVolumeMode       `json:"volumeMode,omitempty" enum:"Filesystem" doc:"Only Filesystem can be mounted as folders."`
	Annotations  map[string]string                 `json:"annotations,omitempty" doc:"Annotations of the claim."`
	Labels       map[string]string                 `json:"labels,omitempty" doc:"Labels of the claim."`
}

// VolumeEnabled reports whether the environment has a volume of its own.
func (d *Dev) VolumeEnabled() bool {
	return d.PersistentVolume.Enabled == nil || *d.PersistentVolume.Enabled
}

// Service is a further workload that runs the environment's code.
type Service struct {
	Name        string            `json:"name,omitempty" expand:"true" doc:"Name of the workload."`
	Selector    map[string]string `json:"selector,omitempty" alias:"labels" expand:"true" doc:"Labels of the workload, instead of its name."`
	Annotations map[string]string `json:"annotations,omitempty" doc:"Annotations of its pod."`
	Container   string            `json:"container,omitempty" doc:"Container to replace; the first one unless set."`
	Image       string            `json:"image,omitempty" expand:"true" doc:"Image of the container; the workload's own unless set."`
	Command     Command           `json:"command,omitempty" doc:"Command of the container; the workload's own unless set."`
	Args        Command           `json:"args,omitempty" doc:"Arguments of the container."`
	Workdir     string            `json:"workdir,omitempty" doc:"Working directory, absolute."`
	Environment Environment       `json:"environment,omitempty" expand:"true" doc:"Environment variables."`
	Resources   Resources         `json:"resources,omitempty" doc:"Requests and limits."`
	Sync        Sync              `json:"sync,omitempty" expand:"true" doc:"Synchronized folders to mount; those of the environment unless set, and always a subset of them."`
	Replicas    *int32            `json:"replicas,omitempty" min:"0" doc:"Replicas; the workload's own number unless set."`
}

// Probes to keep.
type Probes struct {
	Liveness  bool `json:"liveness,omitempty" doc:"Keep the liveness probe."`
	Readiness bool `json:"readiness,omitempty" doc:"Keep the readiness probe."`
	Startup   bool `json:"startup,omitempty" doc:"Keep the startup probe."`
}

// Lifecycle says what becomes of the workload's hooks.
type Lifecycle struct {
	PostStart Hook `json:"postStart,omitempty" doc:"Hook after the start."`
	PreStop   Hook `json:"preStop,omitempty" alias:"postStop" doc:"Hook before the stop."`
}

// Hook is one lifecycle hook.
type Hook struct {
	// Enabled is nil when the manifest does not say: the hook is kept.
	Enabled *bool   `json:"enabled,omitempty" doc:"Whether the hook runs."`
	Command Command `json:"command,omitempty" doc:"Command in place of the workload's."`
}

// Metadata of the development pod.
type Metadata struct {
	Labels      map[string]string `json:"labels,omitempty" doc:"Labels of the pod, besides the workload's."`
	Annotations map[string]string `json:"annotations,omitempty" doc:"Annotations of the pod, besides the workload's."`
}

// Timeout of the two kinds of waiting; Load fills in the defaults.
type Timeout struct {
	// Default for requests and connections, 60 s.
	Default time.Duration `json:"default,omitempty" doc:"For connections, 60s unless set."`
	// Resources for the pod to run, 120 s.
	Resources time.Duration `json:"resources,omitempty" doc:"For the pod to run, 120s unless set."`
}

// InitContainer delivers the agents.
type InitContainer struct {
	Image     string    `json:"image,omitempty" expand:"true" doc:"Image with the agents."`
	Resources Resources `json:"resources,omitempty" doc:"Requests and limits; those of the development container unless set."`
}
