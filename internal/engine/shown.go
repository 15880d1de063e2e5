package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/syncthing/syncthing/lib/config"
	"github.com/syncthing/syncthing/lib/events"
	"github.com/syncthing/syncthing/lib/osutil"

	"okteto/internal/contract"
)

// shown is the configuration as the REST interface has it, reads it from clients and
// writes it to config.xml: what was configured, and not what we tell the library so
// that it leaves watching, timing and the disk to us.
type shown struct {
	config.Wrapper
	e    *Engine
	path string // of config.xml
}

func newShown(e *Engine) shown {
	return shown{e.wrapper, e, filepath.Join(e.cfg.Home, contract.SyncthingConfigFile)}
}

// ConfigPath implements config.Wrapper.
func (s shown) ConfigPath() string { return s.path }

// show a folder's configuration.
func (s shown) show(f config.FolderConfiguration) config.FolderConfiguration {
	r := s.e.folders[f.ID]
	if r == nil {
		return f
	}
	f.FilesystemType = config.FilesystemTypeBasic
	f.FSWatcherEnabled = !s.e.cfg.Watch.Disabled
	f.RescanIntervalS = int(r.rescanInterval() / time.Second)
	f.CaseSensitiveFS = r.f.raw != nil && r.f.raw.CaseSensitiveFS
	return f
}

func (s shown) showAll(folders []config.FolderConfiguration) []config.FolderConfiguration {
	folders = slices.Clone(folders)
	for i := range folders {
		folders[i] = s.show(folders[i])
	}
	return folders
}

// RawCopy implements config.Wrapper.
func (s shown) RawCopy() config.Configuration {
	c := s.Wrapper.RawCopy()
	c.Folders = s.showAll(c.Folders)
	return c
}

// Folder implements config.Wrapper.
func (s shown) Folder(id string) (config.FolderConfiguration, bool) {
	f, ok := s.Wrapper.Folder(id)
	return s.show(f), ok
}

// Folders implements config.Wrapper.
func (s shown) Folders() map[string]config.FolderConfiguration {
	folders := s.Wrapper.Folders()
	for id, f := range folders {
		folders[id] = s.show(f)
	}
	return folders
}

// FolderList implements config.Wrapper.
func (s shown) FolderList() []config.FolderConfiguration { return s.showAll(s.Wrapper.FolderList()) }

// Modify implements config.Wrapper: what the library is told of our folders stays,
// and the interval between scans is ours to take.
func (s shown) Modify(change config.ModifyFunction) (config.Waiter, error) {
	intervals := map[string]time.Duration{}
	waiter, err := s.Wrapper.Modify(func(c *config.Configuration) {
		before := c.FolderMap()
		c.Folders = s.showAll(c.Folders)
		change(c)
		for i, f := range c.Folders {
			told, ours := before[f.ID]
			if !ours {
				continue // the verifier refuses it
			}
			intervals[f.ID] = time.Duration(f.RescanIntervalS) * time.Second
			c.Folders[i].FilesystemType = told.FilesystemType
			c.Folders[i].FSWatcherEnabled = false
			c.Folders[i].RescanIntervalS = 0
			c.Folders[i].CaseSensitiveFS = told.CaseSensitiveFS
			c.Folders[i].Versioning = told.Versioning.Copy()
		}
	})
	if err != nil {
		return waiter, err
	}
	for id, interval := range intervals {
		s.e.folders[id].setRescanInterval(interval)
	}
	return waiter, nil
}

// Save implements config.Wrapper: a later start finds what is shown now.
func (s shown) Save() error {
	c := s.RawCopy()
	fd, err := osutil.CreateAtomic(s.path)
	if err != nil {
		return fmt.Errorf("save sync configuration: %w", err)
	}
	if err := c.WriteXML(fd); err != nil {
		fd.Close()
		return fmt.Errorf("save sync configuration: %w", err)
	}
	if err := fd.Close(); err != nil { // nothing is there before that
		return fmt.Errorf("save sync configuration: %w", err)
	}
	if err := os.Chmod(s.path, 0o600); err != nil {
		return fmt.Errorf("save sync configuration: %w", err)
	}
	s.e.events.Log(events.ConfigSaved, c)
	return nil
}

// folderVerifier refuses other folders than those that the engine was started with:
// nobody would watch or guard them.
type folderVerifier struct{}

func (folderVerifier) String() string { return "folderVerifier" }

// CommitConfiguration implements config.Committer.
func (folderVerifier) CommitConfiguration(_, _ config.Configuration) bool { return true }

// VerifyConfiguration implements config.Verifier.
func (folderVerifier) VerifyConfiguration(from, to config.Configuration) error {
	before := from.FolderMap()
	for _, f := range to.Folders {
		old, ok := before[f.ID]
		if !ok {
			return fmt.Errorf("sync folder %s: the folders are those of the manifest; add it there", f.ID)
		}
		if old.Path != f.Path {
			return fmt.Errorf("sync folder %s: its path %s cannot be changed to %s while it runs; change the manifest", f.ID, old.Path, f.Path)
		}
		delete(before, f.ID)
	}
	for id := range before {
		return fmt.Errorf("sync folder %s: it cannot be removed while it runs; change the manifest", id)
	}
	return nil
}
