package sync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"okteto/internal/contract"
	"okteto/internal/engine"
)

// Info is contract.SyncthingInfoFile, which other commands and the original CLI
// read to find the daemon.
type Info struct {
	// Remote and Local are the REST interfaces, host:port, of the pod through
	// the tunnel and of the laptop.
	Remote   string       `yaml:"remote"`
	Password string       `yaml:"password"`
	Local    string       `yaml:"local"`
	APIKey   string       `yaml:"apikey"`
	Folders  []InfoFolder `yaml:"folders"`
	// Control is the daemon's control interface. Ours.
	Control string `yaml:"control"`
}

// InfoFolder is one folder of Info.
type InfoFolder struct {
	Name       string `yaml:"name"`
	LocalPath  string `yaml:"localPath"`
	RemotePath string `yaml:"remotePath"`
}

// ErrNotRunning is returned when no daemon runs for an environment.
var ErrNotRunning = errors.New("file synchronization is not running; start it with 'okteto up'")

func writeInfo(o Options, ready readyLine) error {
	info := Info{Remote: o.RemoteAPIAddress, Local: ready.GUI, APIKey: o.Identity.APIKey, Control: ready.Control}
	for _, f := range o.Folders {
		info.Folders = append(info.Folders, InfoFolder{Name: folderLabel(f.ID), LocalPath: f.LocalPath, RemotePath: f.RemotePath})
	}
	content, err := yaml.Marshal(info)
	if err != nil {
		return fmt.Errorf("write %s: %w", contract.SyncthingInfoFile, err)
	}
	return writePrivate(filepath.Join(o.Home, contract.SyncthingInfoFile), content)
}

func removeInfo(home string) error {
	err := os.Remove(filepath.Join(home, contract.SyncthingInfoFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove sync information: %w", err)
	}
	return nil
}

// ReadInfo finds the daemon of an environment. It returns ErrNotRunning when
// none has the environment's lock.
func ReadInfo(home string) (Info, error) {
	var info Info
	if _, alive, err := owner(home); err != nil || !alive {
		return info, errors.Join(err, ErrNotRunning)
	}
	content, err := os.ReadFile(filepath.Join(home, contract.SyncthingInfoFile))
	if errors.Is(err, fs.ErrNotExist) {
		return info, ErrNotRunning
	}
	if err != nil {
		return info, fmt.Errorf("read sync information: %w", err)
	}
	if err := yaml.Unmarshal(content, &info); err != nil {
		return info, fmt.Errorf("parse %s: %w", filepath.Join(home, contract.SyncthingInfoFile), err)
	}
	if info.Control == "" {
		return info, ErrNotRunning
	}
	return info, nil
}

// Client for the daemon that Info found.
func (i Info) Client() *engine.Client { return engine.NewClient(i.Control, i.APIKey) }

// syncedFile remembers which peer and folders have been equal once.
const syncedFile = "synced.yaml"

type synced struct {
	Peer    string   `yaml:"peer"`
	Folders []string `yaml:"folders"`
}

func syncedState(peer string, folders []Folder) synced {
	s := synced{Peer: peer}
	for _, f := range folders {
		s.Folders = append(s.Folders, f.ID+" "+f.LocalPath+" "+f.RemotePath)
	}
	return s
}

// wasSynced reports whether these folders have been equal to the peer's before:
// then both sides' changes count.
func wasSynced(home, peer string, folders []Folder) bool {
	content, err := os.ReadFile(filepath.Join(home, syncedFile))
	var was synced
	if err != nil || yaml.Unmarshal(content, &was) != nil {
		return false
	}
	now := syncedState(peer, folders)
	return was.Peer == now.Peer && slices.Equal(was.Folders, now.Folders)
}

func noteSynced(home, peer string, folders []Folder) error {
	content, err := yaml.Marshal(syncedState(peer, folders))
	if err != nil {
		return fmt.Errorf("note first synchronization: %w", err)
	}
	return writePrivate(filepath.Join(home, syncedFile), content)
}

// ReadStatus asks the daemon of an environment, from any process.
func ReadStatus(ctx context.Context, home string) (Status, error) {
	info, err := ReadInfo(home)
	if err != nil {
		return Status{}, err
	}
	client := info.Client()
	defer client.Close()
	return client.Status(ctx)
}
