package contract

// Labels and annotations.
const (
	// DevLabel marks what is in development mode (the original workload) or
	// belongs to an environment (Secret, claim, sandbox).
	DevLabel = "dev.okteto.com"
	// CloneLabel is on the dev twin; its value is the UID of the original.
	CloneLabel = "dev.okteto.com/clone"
	// InteractiveLabel selects the main dev pod, DetachedLabel the pods of
	// the manifest's services; the value is the name of the environment.
	InteractiveLabel = "interactive.dev.okteto.com"
	DetachedLabel    = "detached.dev.okteto.com"
	// NotAllowedLabel on a namespace forbids development mode (S, M).
	NotAllowedLabel = "dev.okteto.com/not-allowed"

	// ReplicasAnnotation on the original: how many replicas to restore.
	ReplicasAnnotation = "dev.okteto.com/replicas"
	// DevModeAnnotation on both: DevModeSync.
	DevModeAnnotation = "dev.okteto.com/dev-mode"
	DevModeSync       = "sync"
	// SleepAnnotation holds {"replicas":n} of a workload put to sleep; it wins
	// over the current number.
	SleepAnnotation = "dev.okteto.com/state-before-sleeping"
	// VersionAnnotation marks the translation's version (S, M; ours too).
	VersionAnnotation  = "dev.okteto.com/version"
	TranslationVersion = "1.0"
	// DeploymentAnnotation and StatefulSetAnnotation hold the original as JSON
	// when an S or M CLI translated it in place; RevisionAnnotation and
	// TranslationAnnotation are its bookkeeping.
	DeploymentAnnotation  = "dev.okteto.com/deployment"
	StatefulSetAnnotation = "dev.okteto.com/statefulset"
	RevisionAnnotation    = "dev.okteto.com/revision"
	TranslationAnnotation = "dev.okteto.com/translation"
	// AutoCreateAnnotation with value AutoCreateUp marks a workload that `up`
	// created and `down` deletes.
	AutoCreateAnnotation = "dev.okteto.com/auto-create"
	AutoCreateUp         = "up"
	// IgnoreAnnotation and SyncAnnotation are digests that force a new pod
	// when the ignore files or the synchronized folders change.
	IgnoreAnnotation = "dev.okteto.com/stignore"
	SyncAnnotation   = "dev.okteto.com/sync"
	// RestartAnnotation forces a new pod.
	RestartAnnotation = "dev.okteto.com/restart"
	// SpecAnnotation on the twin: digest of the original's spec it was made
	// from, so that a change of the original rebuilds it. Ours.
	SpecAnnotation = "dev.okteto.com/original-spec"
	// PodRevisionAnnotation on the development pod: digest of the template it
	// was made from, by which its pod is told from the ones before. Ours.
	PodRevisionAnnotation = "dev.okteto.com/pod-revision"
	// VolumeLabelPrefix and a digest of the environment mark the pods that share
	// its volume (pkg/k8s/apps/translate.go).
	VolumeLabelPrefix = "dev.okteto.com/volume-"
	// DeployedByLabel marks what a pipeline created; DeployedInLabel, ours, is
	// the pipeline's namespace on what it created outside of it.
	DeployedByLabel = "dev.okteto.com/deployed-by"
	DeployedInLabel = "dev.okteto.com/deployed-in"
	// GitDeployLabel is on the ConfigMap of a pipeline, and
	// LastUpdatedAnnotation says when it was written, in UTC, in the form of
	// LastUpdatedFormat (pkg/model/const.go, pkg/constants/constants.go).
	GitDeployLabel        = "dev.okteto.com/git-deploy"
	LastUpdatedAnnotation = "dev.okteto.com/last-updated"
	LastUpdatedFormat     = "2006-01-02T15:04:05"
	// BuilderLabel is on the objects of the namespace's image builder. Ours.
	BuilderLabel = "dev.okteto.com/builder"

	// KubeRevisionAnnotation is Kubernetes' own and never copied to a twin.
	KubeRevisionAnnotation = "deployment.kubernetes.io/revision"
)

// Names of objects, volumes and containers.
const (
	// TwinSuffix makes the twin's name from the original's.
	TwinSuffix = "-okteto"
	// SecretPrefix makes the Secret's name from the environment's.
	SecretPrefix = "okteto-"
	// SecretItemPrefix starts the Secret's keys that become files of SecretDir.
	SecretItemPrefix = "dev-secret-"
	// VolumeSuffix makes the claim's name (H); LegacyVolumePrefix did (S, M).
	VolumeSuffix       = "-okteto"
	LegacyVolumePrefix = "okteto-"

	// PipelinePrefix makes the name of a pipeline's ConfigMap
	// (pkg/cmd/pipeline/translate.go).
	PipelinePrefix = "okteto-git-"

	InitContainer       = "okteto-bin"
	InitVolumeContainer = "okteto-init-volume"
	BinVolume           = "okteto-bin"
	SyncSecretVolume    = "okteto-sync-secret"
	DevSecretVolume     = "okteto-dev-secret"

	// Keys of the Secret that the pod never mounts: the laptop's end of the
	// synchronization, so that another laptop can take over. Ours.
	LocalCertKey = "local-cert.pem"
	LocalKeyKey  = "local-key.pem"
	APIKeyKey    = "api-key"
)

// Subpaths of the environment's volume.
const (
	SyncthingSubPath     = "syncthing"
	SyncthingDataSubPath = "syncthing-data"
	RemoteSubPath        = "okteto-remote"
	SourceSubPath        = "src"
	DataSubPath          = "data"
	BashHistorySubPath   = "okteto-bash-history"
)

// FolderIDPrefix and a number from 1 make a Syncthing folder id.
const FolderIDPrefix = "okteto-"

// DefaultVolumeSize of the claim (H; 2Gi before).
const DefaultVolumeSize = "5Gi"

// DefaultInitImage is used when neither manifest nor environment name one.
const DefaultInitImage = "okteto/bin:dev"
