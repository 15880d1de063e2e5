package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	stfs "github.com/syncthing/syncthing/lib/fs"
)

// maxSpecials bounds how many are remembered of a folder.
const maxSpecials = 1000

// specials are the sockets, named pipes and devices that scans have come across. They
// are not synchronized: what they lead to is on one side alone.
type specials struct {
	fresh atomic.Bool // there are some that were not looked at

	mu    sync.Mutex
	found map[string]struct{} // paths; protected by mu
}

func newSpecials() *specials { return &specials{found: map[string]struct{}{}} }

// see is told of what a scan has come across.
func (s *specials) see(name string, info stfs.FileInfo) {
	if specialKind(os.FileMode(info.Mode())) == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.found[name]; !known && len(s.found) < maxSpecials {
		s.found[name] = struct{}{}
		s.fresh.Store(true)
	}
}

// specialKind is the users' word for what is neither file, directory nor link; empty:
// it is one of these.
func specialKind(mode os.FileMode) string {
	switch {
	case mode.IsRegular(), mode.IsDir(), mode&os.ModeSymlink != 0:
		return ""
	case mode&os.ModeSocket != 0:
		return "socket"
	case mode&os.ModeNamedPipe != 0:
		return "named pipe"
	case mode&os.ModeDevice != 0:
		return "device"
	}
	return "special file"
}

// list those that are there still and not ignored, by path.
func (s *specials) list(root string, skip func(path string) bool) []ItemError {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []ItemError
	for name := range s.found {
		info, err := os.Lstat(filepath.Join(root, name))
		if err != nil || specialKind(info.Mode()) == "" {
			delete(s.found, name)
			continue
		}
		if !skip(name) {
			list = append(list, ItemError{Path: name, Err: specialKind(info.Mode()) + ", not synchronized"})
		}
	}
	slices.SortFunc(list, func(a, b ItemError) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// noteSpecials logs, once, that there are some.
func (r *folderRunner) noteSpecials() {
	if r.saidSpecials.Load() || !r.specials.fresh.Swap(false) {
		return
	}
	list := r.specials.list(r.f.Path, r.skip)
	if len(list) == 0 || r.saidSpecials.Swap(true) {
		return
	}
	r.log.Info("sockets, named pipes and devices are not synchronized", "count", len(list), "path", list[0].Path, "kind", list[0].Err)
}
