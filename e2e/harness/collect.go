package harness

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// lastLines of every log are printed with a failed test; the files have all.
const lastLines = 30

// collect writes what tells why a test failed to the artifacts folder, and the
// ends of the logs to the test's own output. Secrets are not among it.
func (t *Test) collect(ctx context.Context) {
	dir := os.Getenv(EnvArtifacts)
	if dir == "" {
		dir = "artifacts"
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(t.Root, dir)
	}
	dir = filepath.Join(dir, t.Namespace)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Log("collect artifacts:", err)
		return
	}
	save := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Log("collect artifacts:", err)
		}
		if strings.HasSuffix(name, ".log") {
			t.Logf("--- the end of %s\n%s", name, tail(string(content)))
		}
	}
	t.collectPods(ctx, save)
	t.collectEvents(ctx, save)
	t.collectCLI(save)
	if status, err := t.CLI.Run(ctx, nil, "status", "-o", "json"); err == nil {
		save("status.log", []byte(status.Stdout+status.Stderr))
	}
	t.Log("artifacts of the failure are in", dir)
}

func (t *Test) collectPods(ctx context.Context, save func(string, []byte)) {
	pods, err := t.Client.CoreV1().Pods(t.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Log("collect pods:", err)
		return
	}
	for _, pod := range pods.Items {
		if content, err := yaml.Marshal(pod); err == nil {
			save("pod-"+pod.Name+".yaml", content)
		}
		for _, status := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
			for _, previous := range []bool{false, true} {
				if previous && status.RestartCount == 0 {
					continue
				}
				name := fmt.Sprintf("pod-%s-%s.log", pod.Name, status.Name)
				if previous {
					name = "previous-" + name
				}
				log, err := t.Client.CoreV1().Pods(t.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: status.Name, Previous: previous}).DoRaw(ctx)
				if err != nil {
					log = []byte(err.Error())
				}
				save(name, log)
			}
		}
	}
}

func (t *Test) collectEvents(ctx context.Context, save func(string, []byte)) {
	events, err := t.Client.CoreV1().Events(t.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Log("collect events:", err)
		return
	}
	var lines strings.Builder
	for _, e := range events.Items {
		fmt.Fprintf(&lines, "%s %s %s/%s %s\n", e.LastTimestamp.Format("15:04:05"), e.Reason, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Message)
	}
	save("events.log", []byte(lines.String()))
}

func (t *Test) collectCLI(save func(string, []byte)) {
	err := filepath.WalkDir(t.Home, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // what cannot be read is not collected
		}
		if entry.IsDir() && strings.HasSuffix(path, ".db") {
			return filepath.SkipDir // the database's log is no text
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".log") {
			return nil
		}
		if content, err := os.ReadFile(path); err == nil {
			save("cli-"+filepath.Base(filepath.Dir(path))+"-"+filepath.Base(path), content)
		}
		return nil
	})
	if err != nil {
		t.Log("collect CLI logs:", err)
	}
}

func tail(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) > lastLines {
		lines = lines[len(lines)-lastLines:]
	}
	return strings.Join(lines, "\n")
}
