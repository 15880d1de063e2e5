package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"okteto/internal/testkit/sshkit"
)

// podUID has no passwd entry anywhere.
const podUID = 12345

// root is a file system that a dev container could have.
type root struct {
	dir string
	s   *sshkit.Server
}

// enterRoot builds the program without cgo and starts it in a file system that
// holds it, the bundled busybox and what populate adds, as podUID.
func enterRoot(t *testing.T, populate func(dir string), flags ...string) root {
	t.Helper()
	oursOnly(t)
	if os.Getuid() != 0 {
		t.Skip("needs root for chroot")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs a static busybox")
	}
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"dev", "proc", "etc", "bin", "work", "var/okteto/bin", "var/okteto/remote"} {
		must(os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		must(os.Chmod(d, 0o755)) // for the other user
	}
	for _, d := range []string{"work", "var/okteto/remote"} {
		must(os.Chown(filepath.Join(dir, d), podUID, podUID))
	}
	must(copyFile(busybox, filepath.Join(dir, "var/okteto/bin/busybox")))
	if populate != nil {
		populate(dir)
	}
	program, err := staticProgram()
	must(err)
	must(copyFile(program, filepath.Join(dir, "var/okteto/bin/okteto-remote")))
	keys := t.TempDir()
	sshkit.Keys(t, keys)
	must(copyFile(filepath.Join(keys, "authorized_keys"), filepath.Join(dir, "var/okteto/remote/authorized_keys")))
	port := sshkit.FreePort(t)
	script := `mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && cd "$1/work" || exit 99
exec chroot --userspec=` + fmt.Sprintf("%d:%d", podUID, podUID) + ` --groups= "$@"`
	args := append([]string{
		"--mount", "sh", "-c", script, "sh", dir,
		"/var/okteto/bin/okteto-remote", "--port", strconv.Itoa(port), "--work-dir", "/work",
	}, flags...)
	if out, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("mount namespaces are not allowed here: %s", out)
	}
	cmd := exec.Command("unshare", args...)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
	return root{dir, sshkit.Launch(t, cmd, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), keys)}
}

// staticProgram builds the program without cgo, once, and returns its path.
var staticProgram = sync.OnceValues(func() (string, error) {
	path := staticPath()
	build := exec.Command("go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return path, nil
})

func staticPath() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("okteto-remote-static-%d", os.Getpid()))
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		return err
	}
	return os.Chmod(to, 0o755)
}

// usable runs what a developer expects of any image.
func (r root) usable(t *testing.T) {
	t.Helper()
	res := r.s.Exec(t, "in\n", "cat; id -u; pwd; echo err >&2; exit 7")
	want(t, "stdout", res.Stdout, fmt.Sprintf("in\n%d\n/work\n", podUID))
	want(t, "stderr", res.Stderr, "err\n")
	want(t, "status", res.Code, 7)
	want(t, "listing", strings.Contains(r.s.Exec(t, "", "ls /").Stdout, "proc"), true)
	want(t, "variables", r.s.Exec(t, "", `test -x "$SHELL" && "$SHELL" -c 'echo $HOME $USER'`).Stdout, "/ okteto\n")

	x := terminalOn(t, r.s.Dial(t), nil)
	x.run("")
	x.send("echo $((6*7)); tty; exit 5\n")
	x.expect("42\r\n/dev/pts/")
	want(t, "end", fmt.Sprint(x.wait()), "Process exited with status 5")

	out := withAgent(t, r.s, startAgent(t, "k"), "pod", `test -S "$SSH_AUTH_SOCK" && echo socket`)
	want(t, "agent", out.Stdout, "socket\n")

	d := t.TempDir()
	write(t, d+"/a b", noise(1<<20))
	write(t, d+"/none", nil)
	for _, flag := range []string{"-O", "-s"} {
		dir := "up" + flag
		_ = os.RemoveAll(d + "/back")
		for _, args := range [][]string{
			{"-r", "-p", d, "pod:" + dir}, {"-r", "-p", "pod:" + dir, d + "/back"}, {"pod:" + dir + "/no*", d + "/glob"},
		} {
			res := sshkit.Run(t, r.s.SCP(append([]string{flag}, args...)...))
			want(t, fmt.Sprint("scp ", flag, args, res.Stderr), res.Code, 0)
		}
		want(t, "copied", read(t, d+"/back/a b") == read(t, d+"/a b") && read(t, d+"/glob") == "", true)
		_ = os.RemoveAll(d + "/back")
		_ = os.Remove(d + "/glob")
	}
	cmd := r.s.SFTP("-b", "-", "pod")
	cmd.Stdin = strings.NewReader("pwd\n")
	want(t, "sftp starts in", strings.Contains(sshkit.Run(t, cmd).Stdout, "directory: /work\n"), true)
}

// TestImageWithBusyboxOnly is an image like alpine.
func TestImageWithBusyboxOnly(t *testing.T) {
	r := enterRoot(t, func(dir string) {
		busybox := filepath.Join(dir, "bin/busybox")
		if err := copyFile(filepath.Join(dir, "var/okteto/bin/busybox"), busybox); err != nil {
			t.Fatal(err)
		}
		for _, applet := range []string{"sh", "cat", "id", "ls", "tty", "test"} {
			_ = os.Symlink("busybox", filepath.Join(dir, "bin", applet))
		}
		write(t, filepath.Join(dir, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/ash\n"))
	})
	r.usable(t)
	want(t, "shell", r.s.Exec(t, "", "echo $SHELL").Stdout, "/bin/sh\n")
}

// TestImageWithNothing is an image like distroless: no shell, no tools, no
// passwd, no /tmp.
func TestImageWithNothing(t *testing.T) {
	r := enterRoot(t, nil)
	r.usable(t)
}

// TestImageWithNothingWritable has only the volume of the server's state, and
// that cannot take links for busybox.
func TestImageWithoutRoomForApplets(t *testing.T) {
	r := enterRoot(t, func(dir string) {
		// A file where the links would go, and no other writable place.
		write(t, filepath.Join(dir, "var/okteto/remote/applets"), nil)
	})
	want(t, "output", r.s.Exec(t, "", "echo shell; exit 3").Stdout, "shell\n")
	want(t, "status", r.s.Exec(t, "", "exit 3").Code, 3)
}

// TestImageAccountShell shows that the shell of passwd is taken when it can run.
func TestImageAccountShell(t *testing.T) {
	for shell, expected := range map[string]string{"/bin/ash": "/bin/ash", "/sbin/nologin": "/bin/sh", "/bin/missing": "/bin/sh"} {
		r := enterRoot(t, func(dir string) {
			_ = copyFile(filepath.Join(dir, "var/okteto/bin/busybox"), filepath.Join(dir, "bin/busybox"))
			for _, applet := range []string{"sh", "ash"} {
				_ = os.Symlink("busybox", filepath.Join(dir, "bin", applet))
			}
			write(t, filepath.Join(dir, "etc/passwd"), []byte(fmt.Sprintf("dev:x:%d:%d:Dev:/work:%s\n", podUID, podUID, shell)))
		})
		want(t, shell, r.s.Exec(t, "", "echo $SHELL $HOME $USER").Stdout, expected+" /work dev\n")
	}
}

// TestFirstProcessReapsOrphans is a server baked into an image: it is process 1.
func TestFirstProcessReapsOrphans(t *testing.T) {
	oursOnly(t)
	if os.Getuid() != 0 {
		t.Skip("needs root for namespaces")
	}
	program, err := staticProgram()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sshkit.Keys(t, dir)
	port := strconv.Itoa(sshkit.FreePort(t))
	cmd := exec.Command("sh", "-c", `mount --make-rprivate / && mount -t proc proc /proc && exec "$@"`, "sh", program,
		"--port", port, "--authorized-keys", dir+"/authorized_keys", "--host-key", dir+"/host", "--metrics-socket", "", "--agent-socket", "")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	s := sshkit.Launch(t, cmd, net.JoinHostPort("127.0.0.1", port), dir)
	r := s.Exec(t, "", "echo $PPID; (sleep 0.1 >/dev/null 2>&1 </dev/null &); exit 6")
	want(t, "the server is process 1", r.Stdout, "1\n")
	want(t, "status", r.Code, 6)
	zombies := func() int { return strings.Count(s.Exec(t, "", "cat /proc/[0-9]*/stat").Stdout, ") Z 1 ") }
	sshkit.Await(t, "the orphan has died", func() bool { return zombies() > 0 })
	sshkit.Await(t, "the orphan is reaped", func() bool { return zombies() == 0 })
	want(t, "status after that", s.Exec(t, "", "exit 7").Code, 7)
}
