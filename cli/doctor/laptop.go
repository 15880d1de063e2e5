package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/disk"

	"okteto/cli/forward"
	"okteto/cli/sshconfig"
	filesync "okteto/cli/sync"
	"okteto/cli/ui"
)

const (
	// lowDisk is little enough room to say so, in bytes.
	lowDisk = 1 << 30
	// maxFolders that are counted; a tree with more needs another look anyway.
	maxFolders = 500_000
)

func (p *patient) folders(context.Context) Check {
	if err := p.Dev.CheckLocal(); err != nil {
		return failure(err.Error(), "correct sync and secrets in the manifest")
	}
	var names []string
	for _, f := range p.Dev.Sync.Folders {
		names = append(names, f.LocalPath+" -> "+f.RemotePath)
	}
	return ok(strings.Join(names, ", "))
}

// watches compares the folders that must be watched with what the system allows.
func (p *patient) watches(ctx context.Context) Check {
	if runtime.GOOS != "linux" {
		return skipped("this system has no such limit")
	}
	content, err := os.ReadFile("/proc/sys/fs/inotify/max_user_watches")
	if err != nil {
		return skipped(err.Error())
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return skipped(err.Error())
	}
	folders := 0
	for _, f := range p.Dev.Sync.Folders {
		_ = filepath.WalkDir(f.LocalPath, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				folders++
			}
			if folders > maxFolders || ctx.Err() != nil {
				return fs.SkipAll
			}
			return nil
		})
	}
	detail := fmt.Sprintf("%d of the %d that are allowed", folders, limit)
	if folders > limit*9/10 {
		return failure(detail, fmt.Sprintf("allow more: sudo sysctl fs.inotify.max_user_watches=%d\nor ignore what need not be synchronized in .stignore", max(524288, 2*folders)))
	}
	return ok(detail)
}

func (p *patient) disk(ctx context.Context) Check {
	paths := []string{p.env.Home}
	for _, f := range p.Dev.Sync.Folders {
		paths = append(paths, f.LocalPath)
	}
	var details []string
	low := false
	for _, path := range paths {
		usage, err := disk.UsageWithContext(ctx, path)
		if err != nil {
			continue // folders has said so
		}
		low = low || usage.Free < lowDisk
		details = append(details, fmt.Sprintf("%s free in %s", ui.Bytes(int64(usage.Free)), path))
	}
	detail := strings.Join(details, ", ")
	if low {
		return warning(detail, "make room: files from the pod cannot be written when the disk is full")
	}
	return ok(detail)
}

// processes looks for a synchronization that has lost its up.
func (p *patient) processes(context.Context) Check {
	holder, running := p.env.Running()
	if running {
		return ok(fmt.Sprintf("okteto up runs as process %d", holder.PID))
	}
	_, err := filesync.ReadInfo(p.env.Dir)
	if err == nil {
		return warning("a synchronization daemon runs without okteto up", "the next okteto up ends it; so does okteto down")
	}
	if !errors.Is(err, filesync.ErrNotRunning) {
		return warning(err.Error(), "okteto up --reset begins anew")
	}
	return ok("no okteto up runs here")
}

func (p *patient) ports(ctx context.Context) Check {
	if _, running := p.env.Running(); running {
		return skipped("okteto up has them")
	}
	m := forward.NewManager(nil, nil)
	defer m.Close()
	var ports []string
	for _, f := range p.Dev.Forward {
		_, err := m.ListenTo(p.Dev.Interface, f.LocalPort, func(context.Context) (net.Conn, error) { return nil, net.ErrClosed })
		var taken *forward.PortError
		if errors.As(err, &taken) {
			return failure(taken.Error(), taken.Hint())
		}
		ports = append(ports, strconv.Itoa(f.LocalPort))
	}
	if len(ports) == 0 {
		return ok("none are forwarded")
	}
	return ok("free: " + strings.Join(ports, ", "))
}

func (p *patient) sshConfig(context.Context) Check {
	_, running := p.env.Running()
	port, known := sshconfig.Port(p.env.Home, p.env.Name)
	switch {
	case running && !known:
		return warning("no entry for "+p.env.Name+".okteto", "see okteto.log for the reason, or set "+sshconfig.EnvMode+"="+sshconfig.ModeInline)
	case known:
		return ok(fmt.Sprintf("%s.okteto is port %d", p.env.Name, port))
	}
	return ok("okteto up makes the entry")
}
