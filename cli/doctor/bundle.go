package doctor

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/target"
	"okteto/internal/contract"
)

// maxPart is how much of a log goes into a bundle, in bytes from its end.
const maxPart = 1 << 20

// secretive matches what may follow a word that announces a secret, and what is
// one by its form: PEM blocks and bearer tokens.
var secretive = []*regexp.Regexp{
	regexp.MustCompile(`(?i)((?:password|passwd|secret|token|api-?key|authorization|credential)[\w-]*["']?\s*[:=]\s*)("[^"]*"|'[^']*'|\S+)`),
	regexp.MustCompile(`(?is)()(-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----)`),
	regexp.MustCompile(`(?i)(bearer\s+)([\w.~+/=-]+)`),
}

// Redact replaces what looks like a secret.
func Redact(text []byte) []byte {
	for _, r := range secretive {
		text = r.ReplaceAll(text, []byte("${1}[redacted]"))
	}
	return text
}

// Bundle writes a .tar.gz with the checks, this laptop's logs of the environment,
// and the pod's log and events. The manifest, variables, keys and Secrets are not
// in it, and what looks like a secret in a log is redacted.
func Bundle(ctx context.Context, t *target.Target, checks []Check, w io.Writer) error {
	env, err := t.State()
	if err != nil {
		return err
	}
	zipped := gzip.NewWriter(w)
	b := &bundler{archive: tar.NewWriter(zipped), at: time.Now()}
	b.json("checks.json", checks)
	b.json("version.json", map[string]string{
		"okteto": contract.Version, "os": runtime.GOOS, "arch": runtime.GOARCH, "go": runtime.Version(),
	})
	for _, name := range []string{contract.LogFile, contract.SyncthingLogFile, contract.StateFile} {
		if content, err := os.ReadFile(env.Path(name)); err == nil {
			b.add(name, content)
		}
	}
	b.cluster(ctx, t)
	return errors.Join(b.err, b.archive.Close(), zipped.Close())
}

type bundler struct {
	archive *tar.Writer
	at      time.Time
	err     error
}

func (b *bundler) add(name string, content []byte) {
	if b.err != nil {
		return
	}
	content = Redact(content[max(0, len(content)-maxPart):])
	b.err = b.archive.WriteHeader(&tar.Header{Name: "okteto-doctor/" + name, Mode: 0o600, Size: int64(len(content)), ModTime: b.at})
	if b.err == nil {
		_, b.err = b.archive.Write(content)
	}
}

func (b *bundler) json(name string, value any) {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		b.err = errors.Join(b.err, err)
		return
	}
	b.add(name, append(content, '\n'))
}

// cluster adds what the cluster says of the environment, as far as it says it.
func (b *bundler) cluster(ctx context.Context, t *target.Target) {
	core := t.Client.Clientset.CoreV1()
	pods, err := core.Pods(t.Client.Namespace).List(ctx, metav1.ListOptions{LabelSelector: contract.InteractiveLabel + "=" + t.Dev.Name})
	if err != nil {
		return
	}
	for _, pod := range pods.Items {
		b.json("pod-"+pod.Name+"-status.json", pod.Status)
		for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
			log, err := core.Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: c.Name}).DoRaw(ctx)
			if err == nil {
				b.add(fmt.Sprintf("pod-%s-%s.log", pod.Name, c.Name), log)
			}
		}
	}
	events, err := core.Events(t.Client.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	var text bytes.Buffer
	for _, e := range events.Items {
		fmt.Fprintf(&text, "%s %s %s/%s %s: %s\n", e.LastTimestamp.Format(time.RFC3339), e.Type, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
	}
	b.add("events.txt", text.Bytes())
}
