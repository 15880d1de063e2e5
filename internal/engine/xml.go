package engine

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/syncthing/syncthing/lib/config"
	"github.com/syncthing/syncthing/lib/protocol"

	"okteto/internal/contract"
)

// Extra is contract.EngineFile: what config.xml has no word for. All of it is
// optional.
type Extra struct {
	// GuardRoot is Folder.GuardRoot of all folders.
	GuardRoot bool `json:"guardRoot,omitempty"`
	// QuietMS and SettleMS are WatchOptions.Quiet and Settle in milliseconds.
	QuietMS  int `json:"quietMs,omitempty"`
	SettleMS int `json:"settleMs,omitempty"`
}

// JSON encodes the file.
func (e Extra) JSON() ([]byte, error) {
	out, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", contract.EngineFile, err)
	}
	return append(out, '\n'), nil
}

// XMLOptions say where FromXML finds things.
type XMLOptions struct {
	// Home holds config.xml, cert.pem, key.pem and perhaps engine.json.
	Home string
	// DataDir holds the database.
	DataDir string
	// ListenAddress and GUIAddress replace whatever the file says.
	ListenAddress, GUIAddress string
	Log                       *slog.Logger
}

// FromXML reads the configuration that a CLI of any era placed in Home:
// Syncthing's config.xml of version 26 to 37 with its certificate. Addresses
// come from o alone, so nothing listens beyond loopback unless o says so, and
// discovery, relays, reports and upgrades are off whatever the file says. Of a newer
// file, as Syncthing 2 writes, what is known is taken, and a copy is set aside.
func FromXML(o XMLOptions) (Config, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(o.Home, contract.SyncthingCertFile), filepath.Join(o.Home, contract.SyncthingKeyFile))
	if err != nil {
		return Config{}, fmt.Errorf("load sync certificate from %s: %w", o.Home, err)
	}
	path := filepath.Join(o.Home, contract.SyncthingConfigFile)
	file, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read sync configuration: %w", err)
	}
	me := protocol.NewDeviceID(cert.Certificate[0])
	raw, version, err := config.ReadXML(bytes.NewReader(file), me)
	if err != nil {
		return Config{}, fmt.Errorf("parse %s: %w", path, err)
	}
	if version > config.CurrentVersion {
		if err := keepNewer(o, path, version, file, raw); err != nil {
			return Config{}, err
		}
	}
	c := Config{
		Home: o.Home, DataDir: o.DataDir, Certificate: cert,
		ListenAddress: o.ListenAddress, GUIAddress: o.GUIAddress,
		APIKey: raw.GUI.APIKey, GUIUser: raw.GUI.User, GUIPassword: raw.GUI.Password,
		Log: o.Log,
	}
	extra, err := readExtra(filepath.Join(o.Home, contract.EngineFile))
	if err != nil {
		return Config{}, err
	}
	c.Watch.Quiet = time.Duration(extra.QuietMS) * time.Millisecond
	c.Watch.Settle = time.Duration(extra.SettleMS) * time.Millisecond
	for _, d := range raw.Devices {
		if d.DeviceID == me {
			c.Name = d.Name
			continue
		}
		c.Peers = append(c.Peers, peerFromXML(d))
	}
	for _, f := range raw.Folders {
		folder := folderFromXML(f)
		folder.GuardRoot = extra.GuardRoot
		c.Folders = append(c.Folders, folder)
	}
	return c, c.Validate()
}

// keepNewer sets a configuration aside that a newer version has written: it is kept
// as it is when ours is saved. Folders and devices are what it must have told.
func keepNewer(o XMLOptions, path string, version int, file []byte, raw config.Configuration) error {
	if len(raw.Folders) == 0 || len(raw.Devices) < 2 {
		return fmt.Errorf("parse %s: version %d is newer than %d, and no folder and device are known of it; use the CLI and image of one release", path, version, config.CurrentVersion)
	}
	aside := fmt.Sprintf("%s.v%d", path, version)
	if err := os.WriteFile(aside, file, 0o600); err != nil {
		aside = err.Error() // as where secrets are mounted: then nothing is saved there either
	}
	if o.Log != nil {
		o.Log.Warn("the configuration is a newer Syncthing's: its folders and devices are used, the rest is ours", "path", path, "version", version, "known", config.CurrentVersion, "copy", aside)
	}
	return nil
}

func readExtra(path string) (Extra, error) {
	var extra Extra
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return extra, nil
	}
	if err != nil {
		return extra, fmt.Errorf("read sync settings: %w", err)
	}
	if err := json.Unmarshal(content, &extra); err != nil {
		return extra, fmt.Errorf("parse %s: %w", path, err)
	}
	return extra, nil
}

func peerFromXML(d config.DeviceConfiguration) Peer {
	p := Peer{ID: d.DeviceID.String(), Name: d.Name, Compression: d.Compression == config.CompressionAlways}
	for _, address := range d.Addresses {
		if rest, ok := strings.CutPrefix(address, "tcp://"); ok {
			p.Address = rest
			break
		}
	}
	return p
}

func folderFromXML(f config.FolderConfiguration) Folder {
	folder := Folder{
		ID: f.ID, Label: f.Label, Path: f.Path,
		SendOnly:         f.Type == config.FolderTypeSendOnly,
		RescanInterval:   time.Duration(f.RescanIntervalS) * time.Second,
		Marker:           f.MarkerName,
		MaxConflicts:     f.MaxConflicts,
		Fsync:            !f.DisableFsync,
		ConcurrentWrites: max(f.MaxConcurrentWrites, concurrentWrites),
		raw:              &f,
	}
	if f.Versioning.Type != "" {
		folder.TrashDir = f.Versioning.FSPath
		_, _ = fmt.Sscanf(f.Versioning.Params["cleanoutDays"], "%d", &folder.TrashDays)
	}
	return folder
}

// concurrentWrites is enough to keep a pod's disk busy with small files.
const concurrentWrites = 16
