package pipeline

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/kube"
	"okteto/internal/contract"
)

// Status of a pipeline, the original's words (pkg/cmd/pipeline/translate.go).
type Status string

// The states of a pipeline.
const (
	Progressing Status = "progressing"
	Deployed    Status = "deployed"
	Failed      Status = "error"
	Destroying  Status = "destroying"
)

// Record is what is known about a pipeline: the content of its ConfigMap.
type Record struct {
	Name       string     `json:"name"`
	Namespace  string     `json:"namespace"`
	Status     Status     `json:"status"`
	Repository string     `json:"repository,omitempty"`
	Branch     string     `json:"branch,omitempty"`
	Commit     string     `json:"commit,omitempty"`
	File       string     `json:"filename,omitempty"`
	Icon       string     `json:"icon,omitempty"`
	Variables  []Variable `json:"variables,omitempty"`
	// Started and Finished are of the last run; Finished is zero while it runs.
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	// Message says why the last run failed.
	Message string `json:"message,omitempty"`
	// Log is the end of the last run's output.
	Log string `json:"log,omitempty"`
	// Devs are the manifests that the file lists.
	Devs []string `json:"devs,omitempty"`
	// Holder is who deploys or destroys right now: user@host.
	Holder string `json:"holder,omitempty"`

	// yaml is the file, cloned that it came from a clone; namespaces are others
	// that something was created in, kinds of what (deployments.apps); destroyed is how many destroy commands an
	// interrupted destroy has done.
	yaml       []byte
	cloned     bool
	namespaces []string
	kinds      []string
	destroyed  int
	// lock names the run that holds the pipeline, renewed changes while it lives;
	// variables is the encoded form.
	lock, renewed, variables string
}

// Keys of the ConfigMap: the original's, then ours.
const (
	keyName       = "name"
	keyStatus     = "status"
	keyOutput     = "output"
	keyRepository = "repository"
	keyBranch     = "branch"
	keyFile       = "filename"
	keyYAML       = "yaml"
	keyIcon       = "icon"
	keyLock       = "actionLock"
	keyAction     = "actionName"
	keyVariables  = "variables"

	keyCommit     = "commit"
	keyStarted    = "started"
	keyFinished   = "finished"
	keyMessage    = "message"
	keyDevs       = "devs"
	keyHolder     = "holder"
	keyRenewed    = "renewed"
	keyCloned     = "cloned"
	keyNamespaces = "namespaces"
	keyKinds      = "kinds"
	keyDestroyed  = "destroyed"
)

// action is the original's name for what is done from the command line.
const action = "cli"

// objectNameOf is the ConfigMap's name.
func objectNameOf(name string) string { return contract.PipelinePrefix + objectName(name) }

// data of the ConfigMap; empty fields are left out.
func (r *Record) data() map[string]string {
	data := map[string]string{
		keyName: r.Name, keyStatus: string(r.Status), keyRepository: r.Repository, keyBranch: r.Branch,
		keyFile: r.File, keyIcon: r.Icon, keyCommit: r.Commit, keyMessage: r.Message, keyHolder: r.Holder,
		keyAction: action, keyLock: r.lock, keyRenewed: r.renewed, keyVariables: r.variables,
		keyDevs: strings.Join(r.Devs, "\n"), keyNamespaces: strings.Join(r.namespaces, ","), keyKinds: strings.Join(r.kinds, ","),
		keyYAML:    base64.StdEncoding.EncodeToString(r.yaml),
		keyOutput:  base64.StdEncoding.EncodeToString([]byte(r.Log)),
		keyStarted: stamp(r.Started), keyFinished: stamp(r.Finished),
	}
	if r.cloned {
		data[keyCloned] = "true"
	}
	if r.destroyed > 0 {
		data[keyDestroyed] = strconv.Itoa(r.destroyed)
	}
	for key, value := range data {
		if value == "" {
			delete(data, key)
		}
	}
	return data
}

// decodeRecord reads a ConfigMap, also one that the original wrote. What cannot
// be understood is left empty: it is for people, not for decisions.
func decodeRecord(cm *corev1.ConfigMap) *Record {
	d := cm.Data
	r := &Record{
		Name: d[keyName], Namespace: cm.Namespace, Status: Status(d[keyStatus]),
		Repository: d[keyRepository], Branch: d[keyBranch], Commit: d[keyCommit], File: d[keyFile], Icon: d[keyIcon],
		Started: unstamp(d[keyStarted]), Finished: unstamp(d[keyFinished]), Message: d[keyMessage],
		Holder: d[keyHolder], Devs: split(d[keyDevs], "\n"),
		cloned: d[keyCloned] != "", namespaces: split(d[keyNamespaces], ","), kinds: split(d[keyKinds], ","),
		lock: d[keyLock], renewed: d[keyRenewed], variables: d[keyVariables],
	}
	if r.Name == "" {
		r.Name = strings.TrimPrefix(cm.Name, contract.PipelinePrefix)
	}
	if r.Started.IsZero() {
		r.Started = cm.CreationTimestamp.UTC()
	}
	r.Variables, _ = decodeVariables(r.variables)
	r.yaml, _ = base64.StdEncoding.DecodeString(d[keyYAML])
	log, _ := base64.StdEncoding.DecodeString(d[keyOutput])
	r.Log = string(log)
	r.destroyed, _ = strconv.Atoi(d[keyDestroyed])
	if r.lock != "" && r.Holder == "" {
		r.Holder = r.lock
	}
	return r
}

func split(s, separator string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, separator)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func unstamp(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// put writes the record into the ConfigMap's fields.
func (r *Record) put(cm *corev1.ConfigMap) {
	if cm.Labels == nil {
		cm.Labels = map[string]string{}
	}
	if cm.Annotations == nil {
		cm.Annotations = map[string]string{}
	}
	cm.Labels[contract.GitDeployLabel] = "true"
	cm.Annotations[contract.LastUpdatedAnnotation] = time.Now().UTC().Format(contract.LastUpdatedFormat)
	cm.Data = r.data()
}

// Get returns what is known about a pipeline, nil if there is none.
func Get(ctx context.Context, c *kube.Client, name string) (*Record, error) {
	cm, err := c.Clientset.CoreV1().ConfigMaps(c.Namespace).Get(ctx, objectNameOf(name), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.Explain(err, "read the state of pipeline "+name)
	}
	return decodeRecord(cm), nil
}

// List returns the namespace's pipelines by name.
func List(ctx context.Context, c *kube.Client) ([]*Record, error) {
	list, err := c.Clientset.CoreV1().ConfigMaps(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: contract.GitDeployLabel + "=true"})
	if err != nil {
		return nil, c.Explain(err, fmt.Sprintf("list the pipelines of namespace %s", c.Namespace))
	}
	result := make([]*Record, 0, len(list.Items))
	for i := range list.Items {
		result = append(result, decodeRecord(&list.Items[i]))
	}
	slices.SortFunc(result, func(a, b *Record) int { return strings.Compare(a.Name, b.Name) })
	return result, nil
}
