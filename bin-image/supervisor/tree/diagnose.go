package tree

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/prometheus/procfs"

	"okteto/bin-image/sockets"
	"okteto/bin-image/supervisor/service"
	"okteto/bin-image/supervisor/syncapi"
	"okteto/internal/contract"
)

// diskFloor is the free space below which a full disk is the likely cause.
const diskFloor = 4 << 20

// diagnoseSyncthing looks for what keeps the sync daemon from running.
func (s *supervisor) diagnoseSyncthing() *service.Cause {
	binary := filepath.Join(s.opts.BinDir, contract.SyncthingBinary)
	if cause := missing("binary-missing", binary); cause != nil {
		return cause
	}
	// Without room files are missing, too.
	if cause := diskFull(s.opts.DataDir, s.opts.SyncthingHome); cause != nil {
		return cause
	}
	_, err := syncapi.ReadConfig(s.configPath())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &service.Cause{ID: "config-missing", Detail: err.Error()}
	case errors.Is(err, syncapi.ErrConfig):
		return &service.Cause{ID: "config-invalid", Detail: err.Error()}
	case err != nil:
		return &service.Cause{ID: "config-unreadable", Detail: err.Error()}
	}
	cert, key := filepath.Join(s.opts.SyncthingHome, contract.SyncthingCertFile), filepath.Join(s.opts.SyncthingHome, contract.SyncthingKeyFile)
	for _, file := range []string{cert, key} {
		if cause := missing("certificate-missing", file); cause != nil {
			return cause
		}
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		return &service.Cause{ID: "certificate-invalid", Detail: err.Error()}
	}
	return portInUse(s.pid(contract.SyncthingBinary), s.opts.SyncthingAddress, net.JoinHostPort("127.0.0.1", strconv.Itoa(contract.SyncthingPort)))
}

// diagnoseRemote looks for what keeps the SSH server from running.
func (s *supervisor) diagnoseRemote() *service.Cause {
	if cause := missing("binary-missing", filepath.Join(s.opts.BinDir, contract.RemoteBinary)); cause != nil {
		return cause
	}
	keys := s.authorizedKeys()
	info, err := os.Stat(keys)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &service.Cause{ID: "authorized-keys-missing", Detail: err.Error()}
	case err != nil:
		return &service.Cause{ID: "authorized-keys-unreadable", Detail: err.Error()}
	case info.Size() == 0:
		return &service.Cause{ID: "authorized-keys-empty", Detail: keys}
	}
	if cause := diskFull(s.opts.RemoteDir); cause != nil {
		return cause
	}
	return portInUse(s.pid(contract.RemoteBinary), s.opts.SSHAddress)
}

// authorizedKeys is the SSH server's file of them.
func (s *supervisor) authorizedKeys() string {
	return filepath.Join(s.opts.RemoteDir, filepath.Base(contract.AuthorizedKeys))
}

func missing(id, path string) *service.Cause {
	if _, err := os.Stat(path); err != nil {
		return &service.Cause{ID: id, Detail: err.Error()}
	}
	return nil
}

// diskFull looks at the file systems of the directories.
func diskFull(dirs ...string) *service.Cause {
	for _, dir := range dirs {
		var st syscall.Statfs_t
		if syscall.Statfs(dir, &st) != nil || st.Blocks == 0 {
			continue
		}
		if free := st.Bavail * uint64(st.Bsize); free < diskFloor {
			return &service.Cause{ID: "disk-full", Detail: fmt.Sprintf("%d bytes are free at %s", free, dir)}
		}
		if st.Files > 0 && st.Ffree == 0 {
			return &service.Cause{ID: "disk-full", Detail: "no inode is free at " + dir}
		}
	}
	return nil
}

// portInUse finds a listener at one of the addresses that is not the service's
// own process, and names it.
func portInUse(self int, addresses ...string) *service.Cause {
	for _, text := range addresses {
		address, err := netip.ParseAddrPort(text)
		if err != nil {
			continue
		}
		listeners, err := sockets.Listeners(address)
		if err != nil {
			continue
		}
		for _, socket := range listeners {
			pid, known := holderOf(socket, self)
			switch {
			case known && pid == self:
			case known:
				name := ""
				if p, err := procfs.NewProc(pid); err == nil {
					name, _ = p.Comm()
				}
				return &service.Cause{ID: "port-in-use", Detail: fmt.Sprintf("port %d is held by pid %d (%s)", address.Port(), pid, name)}
			default:
				return &service.Cause{ID: "port-in-use", Detail: fmt.Sprintf("port %d is held by a process of uid %d that cannot be seen", address.Port(), socket.UID)}
			}
		}
	}
	return nil
}

// foreign returns the process that holds the sockets, if it can be told and none of
// them is the service's own.
func foreign(listeners []sockets.Socket, self int) (pid int, ok bool) {
	for _, socket := range listeners {
		holder, known := holderOf(socket, self)
		if !known || holder == self {
			return 0, false
		}
		pid, ok = holder, true
	}
	return pid, ok
}

// holderOf finds the process that holds a socket, looking at the likely one first.
func holderOf(socket sockets.Socket, likely int) (pid int, known bool) {
	want := fmt.Sprintf("socket:[%d]", socket.Inode)
	holds := func(p procfs.Proc) bool {
		targets, err := p.FileDescriptorTargets()
		return err == nil && slices.Contains(targets, want)
	}
	if p, err := procfs.NewProc(likely); err == nil && holds(p) {
		return likely, true
	}
	all, err := procfs.AllProcs()
	if err != nil {
		return 0, false
	}
	for _, p := range all {
		if holds(p) {
			return p.PID, true
		}
	}
	return 0, false
}
