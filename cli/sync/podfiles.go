package sync

import (
	"crypto/tls"
	"errors"
	"fmt"
	"path"
	"time"

	"okteto/internal/contract"
	"okteto/internal/engine"
	"okteto/internal/identity"
)

// Folder is kept equal on the laptop and in the pod.
type Folder struct {
	// ID is contract.FolderIDPrefix and a number from 1.
	ID                    string
	LocalPath, RemotePath string
}

// PodOptions describe the pod's end.
type PodOptions struct {
	Identity identity.Environment
	Folders  []Folder
	// Compression of all data, not only metadata.
	Compression bool
	// RescanInterval between full scans, the watcher's safety net; 0: five
	// minutes.
	RescanInterval time.Duration
}

const (
	defaultRescan = 5 * time.Minute
	// trashDays is how long replaced and deleted files are kept.
	trashDays = 7
	// maxConflicts is how many conflict copies of one file are kept.
	maxConflicts = 10
	// podWrites is how many files the pod writes at once.
	podWrites = 16
)

// Validate reports what cannot work.
func (o PodOptions) Validate() error {
	if err := o.Identity.Validate(); err != nil {
		return err
	}
	if len(o.Folders) == 0 {
		return errors.New("sync: no folders")
	}
	for _, f := range o.Folders {
		switch {
		case f.ID == "":
			return fmt.Errorf("sync %s: no folder id", f.LocalPath)
		case !path.IsAbs(f.RemotePath):
			return fmt.Errorf("sync %s: path in the container %q is not absolute", f.LocalPath, f.RemotePath)
		case path.Clean(f.RemotePath) == "/":
			return fmt.Errorf("sync %s: the container's root cannot be synchronized; name a folder below it, such as %s:/app", f.LocalPath, f.LocalPath)
		}
	}
	return nil
}

// PodFiles are the files of the pod's Syncthing home, by name; they travel in
// the environment's Secret. The config.xml works with the original image too.
func PodFiles(o PodOptions) (map[string][]byte, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	local, err := o.Identity.LocalDeviceID()
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(o.Identity.RemoteCert, o.Identity.RemoteKey)
	if err != nil {
		return nil, fmt.Errorf("pod's sync certificate: %w", err)
	}
	if o.RescanInterval == 0 {
		o.RescanInterval = defaultRescan
	}
	c := engine.Config{
		Home: contract.SyncthingHome, DataDir: contract.SyncthingDataDir, Certificate: cert, Name: "remote",
		ListenAddress: fmt.Sprintf("127.0.0.1:%d", contract.SyncthingPort),
		GUIAddress:    fmt.Sprintf("127.0.0.1:%d", contract.SyncthingGUIPort),
		APIKey:        o.Identity.APIKey,
		Peers:         []engine.Peer{{ID: local, Name: "local", Compression: o.Compression}},
	}
	for _, f := range o.Folders {
		c.Folders = append(c.Folders, engine.Folder{
			ID: f.ID, Label: folderLabel(f.ID), Path: path.Clean(f.RemotePath), RescanInterval: o.RescanInterval,
			Marker: contract.IgnoreFile, MaxConflicts: maxConflicts,
			TrashDir: path.Join(contract.TrashDir, f.ID), TrashDays: trashDays, ConcurrentWrites: podWrites,
		})
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	config, err := c.XML()
	if err != nil {
		return nil, err
	}
	extra, err := engine.Extra{GuardRoot: true}.JSON()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		contract.SyncthingConfigFile: config,
		contract.SyncthingCertFile:   o.Identity.RemoteCert,
		contract.SyncthingKeyFile:    o.Identity.RemoteKey,
		contract.EngineFile:          extra,
	}, nil
}

// folderLabel is what the original CLI labels a folder with: its number.
func folderLabel(id string) string {
	if len(id) > len(contract.FolderIDPrefix) && id[:len(contract.FolderIDPrefix)] == contract.FolderIDPrefix {
		return id[len(contract.FolderIDPrefix):]
	}
	return id
}
