package sync

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"okteto/internal/contract"
	"okteto/internal/engine"
)

// Files in the environment's folder that are the daemon's own. All are 0600.
const (
	settingsFile = "syncthing.json"
	lockFile     = "syncthing.lock"
	trashDir     = "trash"
)

// TrashDir is where the laptop's trash of an environment lies, each folder's below
// its id.
func TrashDir(home string) string { return filepath.Join(home, trashDir) }

// settings are what the daemon is told by its parent: through a file, so that
// no secret is ever in a command line.
type settings struct {
	APIKey       string           `json:"apiKey"`
	PeerID       string           `json:"peerId"`
	PeerAddress  string           `json:"peerAddress"`
	Compression  bool             `json:"compression,omitempty"`
	Folders      []settingsFolder `json:"folders"`
	SendOnly     map[string]bool  `json:"sendOnly,omitempty"`
	RescanSecond int              `json:"rescanSeconds"`
	RemoteAPI    string           `json:"remoteApi,omitempty"`
}

type settingsFolder struct {
	ID   string `json:"id"`
	Path string `json:"path"`
}

func (s settings) write(home string) error {
	content, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write sync settings: %w", err)
	}
	return writePrivate(filepath.Join(home, settingsFile), content)
}

func readSettings(home string) (settings, error) {
	var s settings
	path := filepath.Join(home, settingsFile)
	content, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("read sync settings: %w", err)
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return s, fmt.Errorf("parse %s: %w", path, err)
	}
	return s, nil
}

// writePrivate replaces a file as a whole; nobody else can read it.
func writePrivate(path string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = temp.Write(content)
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// engineConfig is the daemon's engine.
func (s settings) engineConfig(home, gui string, log *slog.Logger) (engine.Config, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(home, contract.SyncthingCertFile), filepath.Join(home, contract.SyncthingKeyFile))
	if err != nil {
		return engine.Config{}, fmt.Errorf("load sync certificate: %w", err)
	}
	c := engine.Config{
		Home: home, DataDir: home, Certificate: cert, Name: "local",
		GUIAddress: gui, APIKey: s.APIKey,
		Peers: []engine.Peer{{ID: s.PeerID, Name: "remote", Address: s.PeerAddress, Compression: s.Compression}},
		Log:   log,
	}
	for _, f := range s.Folders {
		c.Folders = append(c.Folders, engine.Folder{
			ID: f.ID, Label: folderLabel(f.ID), Path: f.Path, SendOnly: s.SendOnly[f.ID],
			RescanInterval: seconds(s.RescanSecond), Marker: contract.IgnoreFile, MaxConflicts: maxConflicts,
			TrashDir: filepath.Join(TrashDir(home), f.ID), TrashDays: trashDays,
			Fsync: true, ConcurrentWrites: localWrites, GuardRoot: true,
		})
	}
	return c, nil
}

// localWrites is how many files the laptop writes at once.
const localWrites = 8
