package sandbox

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"okteto/internal/contract"
)

// Init becomes a container if this process was started as one, and returns
// otherwise.
func Init() {
	text := os.Getenv(initVariable)
	if text == "" {
		return
	}
	runtime.LockOSThread()
	var o Options
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		fail(err)
	}
	if err := prepare(o); err != nil {
		fail(err)
	}
	command := o.Command
	if command == nil {
		command = append([]string{contract.StartScript}, o.Args...)
	}
	if o.NotPID1 {
		command = append([]string{contract.Busybox, "sh", "-c", `"$@" & wait $!`, "--"}, command...)
	}
	fail(syscall.Exec(command[0], command, o.Env))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "sandbox:", err)
	os.Exit(125)
}

// prepare makes the root file system and gives up all rights.
func prepare(o Options) error {
	if o.Cgroup != "" {
		if err := os.WriteFile(filepath.Join(o.Cgroup, "cgroup.procs"), []byte("0"), 0); err != nil {
			return err
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := fileSystem(o); err != nil {
		return err
	}
	if err := loopback(); err != nil {
		return err
	}
	if err := unix.Chroot(o.Base); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	unix.Umask(o.Umask)
	return dropRights(o.UID, o.GID)
}

func fileSystem(o Options) error {
	root := func(path string) string { return filepath.Join(o.Base, path) }
	if err := tmpfs(o.Base, 0o755, 0); err != nil {
		return err
	}
	dirs := []string{"/proc", "/dev", "/sys/fs/cgroup", contract.BinDir, contract.SecretDir, contract.RemoteDir, contract.SyncthingHome}
	for _, dir := range append(dirs, o.Dirs...) {
		if err := os.MkdirAll(root(dir), 0o755); err != nil {
			return err
		}
	}
	if err := kernelMounts(root); err != nil {
		return err
	}
	if err := bind(o.Bin, root(contract.BinDir)); err != nil {
		return err
	}
	if err := writableMounts(o, root); err != nil {
		return err
	}
	if err := secretVolume(root(contract.SecretDir), o.Secret, o.Modes); err != nil {
		return err
	}
	if !o.NoSyncSecret {
		if err := secretVolume(root(contract.SyncthingSecretDir), o.SyncSecret, nil); err != nil {
			return err
		}
	}
	for path, target := range o.Links {
		if err := os.MkdirAll(filepath.Dir(root(path)), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(target, root(path)); err != nil {
			return err
		}
	}
	if o.ReadOnly {
		if err := unix.Mount("", o.Base, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("make root read-only: %w", err)
		}
	}
	return nil
}

// kernelMounts are /proc, /sys and /dev.
func kernelMounts(root func(string) string) error {
	if err := unix.Mount("proc", root("/proc"), "proc", 0, ""); err != nil {
		return fmt.Errorf("mount proc: %w", err)
	}
	if err := bind("/sys/fs/cgroup", root("/sys/fs/cgroup")); err != nil {
		return err
	}
	for _, device := range []string{"/dev/null", "/dev/zero", "/dev/urandom"} {
		if err := os.WriteFile(root(device), nil, 0o666); err != nil {
			return err
		}
		if err := bind(device, root(device)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(root("/dev/pts"), 0o755); err != nil {
		return err
	}
	if err := unix.Mount("devpts", root("/dev/pts"), "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"); err != nil {
		return fmt.Errorf("mount devpts: %w", err)
	}
	return os.Symlink("pts/ptmx", root("/dev/ptmx"))
}

// writableMounts are the volumes.
func writableMounts(o Options, root func(string) string) error {
	writable := append([]string{contract.RemoteDir, contract.SyncthingHome}, o.Dirs...)
	if o.Tmp {
		writable = append(writable, "/tmp")
	}
	for _, dir := range writable {
		if err := os.MkdirAll(root(dir), 0o755); err != nil {
			return err
		}
		if volume, ok := o.Volumes[dir]; ok {
			if err := bind(volume, root(dir)); err != nil {
				return err
			}
			continue
		}
		// As an emptyDir: anyone may write.
		if err := tmpfs(root(dir), 0o777, o.Sizes[dir]); err != nil {
			return err
		}
	}
	return nil
}

// secretVolume looks as the kubelet's: links through a directory that is
// replaced as a whole, on a read-only file system.
func secretVolume(dir string, files map[string]string, modes map[string]os.FileMode) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := tmpfs(dir, 0o755, 0); err != nil {
		return err
	}
	const data = "..2026_01_01"
	if err := os.Mkdir(filepath.Join(dir, data), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(data, filepath.Join(dir, "..data")); err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(dir, data, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
		mode, ok := modes[name]
		if !ok {
			mode = 0o644
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", dir, err)
	}
	return nil
}

func tmpfs(dir string, mode os.FileMode, size int64) error {
	options := fmt.Sprintf("mode=%o", mode)
	if size > 0 {
		options += fmt.Sprintf(",size=%d", size)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	return nil
}

func bind(from, to string) error {
	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", from, to, err)
	}
	return nil
}

// loopback turns the only network interface on.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("turn lo on: %w", err)
	}
	return nil
}

// dropRights is securityContext: no capabilities, no new privileges, the uid.
func dropRights(uid, gid int) error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		// Those that the kernel does not know cannot be held either.
		_ = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(gid); err != nil {
		return err
	}
	if err := syscall.Setuid(uid); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}
