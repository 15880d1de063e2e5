//go:build e2e

package agents

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"okteto/bin-image/original"
	"okteto/e2e/harness"
	"okteto/internal/contract"
)

// enforce the strictest Pod Security Standard
// (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
func enforceRestricted() map[string]string {
	return map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
}

// emptyImage is an image without a shell or anything else that every node has:
// that of the pods' pause containers.
func emptyImage(t testing.TB) string {
	t.Helper()
	cluster, err := harness.Connect()
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := cluster.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes.Items {
		for _, image := range node.Status.Images {
			for _, name := range image.Names {
				if strings.Contains(name, "/pause:") {
					return name
				}
			}
		}
	}
	t.Skip("no node reports the pause image")
	return ""
}

// TestAnyContainerOnACluster: what the sandbox's tests show in namespaces, by a
// kubelet and a container runtime.
func TestAnyContainerOnACluster(t *testing.T) {
	t.Parallel()
	for title, pod := range map[string]podOptions{
		"bash image, root":                      {image: harness.DevImage},
		"bash image, restricted, random uid":    {image: harness.DevImage, uid: ptr.To(int64(1000690000)), restricted: true, readOnly: true},
		"busybox only, restricted, read-only":   {image: harness.InitImage, uid: ptr.To(int64(4242)), restricted: true, readOnly: true},
		"nothing at all, restricted, read-only": {image: "empty", uid: ptr.To(int64(65532)), restricted: true, readOnly: true},
		"nothing at all, root":                  {image: "empty"},
		"shared process namespace":              {image: harness.DevImage, uid: ptr.To(int64(4242)), restricted: true, shareProcesses: true},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			if pod.image == "empty" {
				pod.image = emptyImage(t)
			}
			dev := original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src", Ignore: "(?d).git\n"}}}
			e := setUp(t, dev, pod, enforcedFor(pod))
			e.start()
			uid := int64(0)
			if pod.uid != nil {
				uid = *pod.uid
			}
			if first, _, _ := strings.Cut(e.logs(t.Context(), false), "\n"); first != fmt.Sprintf("USER:%d", uid) {
				t.Errorf("first line of the log: %q", first)
			}
			e.checkModes()
			e.checkNoSecrets()
			e.checkSSH()
			e.checkClean()
			e.crash()
		})
	}
}

func enforcedFor(pod podOptions) map[string]string {
	if pod.restricted {
		return enforceRestricted()
	}
	return nil
}

// checkModes of what holds secrets.
func (e *environment) checkModes() {
	e.Helper()
	b := contract.Busybox
	for path, want := range map[string]string{
		contract.AuthorizedKeys:                                     "600",
		contract.SyncthingHome + "/" + contract.SyncthingKeyFile:    "600",
		contract.SyncthingHome + "/" + contract.SyncthingCertFile:   "600",
		contract.SyncthingHome + "/" + contract.SyncthingConfigFile: "600",
		contract.HostKeyFile:                                        "600",
		"/src/.stignore":                                            "644",
	} {
		if got := strings.TrimSpace(e.sh(b + " stat -c %a " + path)); got != want {
			e.Errorf("%s has mode %s, want %s", path, got, want)
		}
	}
}

// checkNoSecrets looks at every argument and environment in the pod, and its log.
func (e *environment) checkNoSecrets() {
	e.Helper()
	seen := e.sh(contract.Busybox + " cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; :")
	if !strings.Contains(seen, contract.BinDir+"/"+contract.SyncthingBinary) {
		e.Errorf("this does not show the processes: %q", seen)
	}
	seen += e.logs(e.Context(), false)
	for what, secret := range map[string]string{
		"a private key":    "PRIVATE KEY",
		"the API key":      original.APIKey + "\x00",
		"the login key":    strings.Fields(string(e.user.AuthorizedKey))[1],
		"the certificates": strings.Split(string(e.keys.RemoteKey), "\n")[1],
	} {
		if strings.Contains(seen, secret) {
			e.Errorf("%s shows in an argument, an environment or the log", what)
		}
	}
}

// checkSSH runs a command in whatever shell there is.
func (e *environment) checkSSH() {
	e.Helper()
	c := e.connect()
	defer c.close()
	session, err := c.ssh.NewSession()
	if err != nil {
		e.Fatal(err)
	}
	defer session.Close()
	out, err := session.CombinedOutput("echo $((6*7)); exit 5")
	if exitCode(err) != 5 || strings.TrimSpace(string(out)) != "42" {
		e.Errorf("command: %q, %v", out, err)
	}
}

// checkClean: a session whose client is there is spared, one whose client is gone
// is not, however it tries to stay.
func (e *environment) checkClean() {
	e.Helper()
	b := contract.Busybox
	c := e.connect()
	session, err := c.ssh.NewSession()
	if err != nil {
		e.Fatal(err)
	}
	if err := session.Start("trap '' HUP TERM; echo $$ >/src/session; while :; do " + b + " sleep 0.1; done"); err != nil {
		e.Fatal(err)
	}
	runs := func() bool {
		out, _ := e.exec("", b, "sh", "-c", "p=$("+b+" cat /src/session) && ["+" -n \"$p\" ] && "+b+" kill -0 $p && echo runs")
		return strings.TrimSpace(out) == "runs"
	}
	e.eventually("the session runs", func(context.Context) error {
		if !runs() {
			return errNotYet
		}
		return nil
	})
	if _, err := e.exec("", contract.CleanBinary); err != nil {
		e.Error(err)
	}
	if !runs() {
		e.Error("clean ended a session whose client is there")
	}
	c.close()
	e.eventually("clean ends what is left over", func(context.Context) error {
		if _, err := e.exec("", contract.CleanBinary); err != nil {
			return err
		}
		if runs() {
			return errNotYet
		}
		return nil
	})
}

// crash ends the container and waits for the second start in the same pod.
func (e *environment) crash() {
	e.Helper()
	// A supervisor that is not the first process can simply be killed; the
	// first one of a namespace only dies of what it wants to die of.
	pid := strings.TrimSpace(e.sh(`for p in /proc/[0-9]*; do [ "$(` + contract.Busybox + ` readlink $p/exe)" = ` +
		contract.BinDir + "/" + contract.SupervisorBinary + ` ] && echo ${p#/proc/}; done; :`))
	if _, err := strconv.Atoi(pid); err != nil {
		e.Fatalf("pid of the supervisor: %q", pid)
	}
	_, _ = e.exec("", contract.Busybox, "kill", "-TERM", pid)
	e.eventually("a second start", func(ctx context.Context) error {
		pod, err := e.Client.CoreV1().Pods(e.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, s := range pod.Status.ContainerStatuses {
			if s.RestartCount > 0 && s.State.Running != nil {
				if last := s.LastTerminationState.Terminated; last == nil || last.ExitCode != 0 {
					return fmt.Errorf("the first run ended with %+v", last)
				}
				return nil
			}
		}
		return errNotYet
	})
	e.ready()
}

// TestNothingListens on the pod's address but the port for metrics: another pod
// tries all ports.
func TestNothingListens(t *testing.T) {
	t.Parallel()
	e := setUp(t, original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src"}}},
		podOptions{image: harness.DevImage, uid: ptr.To(int64(4242)), restricted: true, readOnly: true}, enforceRestricted())
	e.start()
	pod, err := e.Client.CoreV1().Pods(e.namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const scan = `
import concurrent.futures, socket, sys
def try_port(port):
    with socket.socket() as s:
        s.settimeout(2)
        return port if s.connect_ex((sys.argv[1], port)) == 0 else None
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    print("open:", *[p for p in pool.map(try_port, range(1, 65536)) if p])
`
	scanner := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "scanner"},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{
				Name: "scanner", Image: harness.DevImage, ImagePullPolicy: corev1.PullIfNotPresent,
				Command: []string{"python3", "-c", scan, pod.Status.PodIP}, SecurityContext: e.spec().Containers[0].SecurityContext,
			}},
		},
	}
	if err := e.Create(t.Context(), e.namespace, scanner); err != nil {
		t.Fatal(err)
	}
	var result string
	e.eventually("the scan", func(ctx context.Context) error {
		p, err := e.Client.CoreV1().Pods(e.namespace).Get(ctx, "scanner", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if p.Status.Phase != corev1.PodSucceeded {
			return fmt.Errorf("%w: %s", errNotYet, p.Status.Phase)
		}
		body, err := e.Client.CoreV1().Pods(e.namespace).GetLogs("scanner", &corev1.PodLogOptions{}).DoRaw(ctx)
		result = strings.TrimSpace(string(body))
		return err
	})
	if want := fmt.Sprintf("open: %d", contract.MetricsPort); result != want {
		t.Errorf("another pod finds %q, want %q", result, want)
	}
}
