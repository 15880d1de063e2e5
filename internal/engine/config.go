package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/syncthing/syncthing/lib/config"
	"github.com/syncthing/syncthing/lib/protocol"
)

// Config of an engine.
type Config struct {
	// Home keeps what must survive a restart besides the database: halts, the
	// REST interface's certificate. DataDir keeps the database.
	Home, DataDir string
	// Certificate is this device's identity.
	Certificate tls.Certificate
	// Name of this device, for people.
	Name string
	// ListenAddress for the block exchange protocol, host:port; empty: this end
	// only dials.
	ListenAddress string
	// GUIAddress of the REST interface, host:port; empty: none.
	GUIAddress string
	// APIKey opens the REST interface.
	APIKey string
	// GUIUser and GUIPassword (bcrypt) open it to browsers, when set; otherwise
	// only the key opens it.
	GUIUser, GUIPassword string
	Peers                []Peer
	Folders              []Folder
	Watch                WatchOptions
	// OnIgnores is called when a folder's ignore patterns have changed,
	// OnConnect when a peer has connected; both may be nil and must not block.
	OnIgnores func(folder string)
	OnConnect func()
	// Log is never nil after Validate.
	Log *slog.Logger
}

// Peer is a device at the other end.
type Peer struct {
	// ID is the device ID: the digest of its certificate, in Syncthing's form.
	ID   string
	Name string
	// Address to dial, host:port; empty: the peer dials us.
	Address string
	// Compression of all data, not only of metadata.
	Compression bool
}

// Folder that is kept equal with all peers.
type Folder struct {
	ID, Label, Path string
	// SendOnly makes this side's content win until SetSendOnly says otherwise.
	SendOnly bool
	// RescanInterval between full scans; 0: only at start. The watcher finds
	// changes at once; scans are its safety net.
	RescanInterval time.Duration
	// Marker is a name below Path that must exist for the folder to be in
	// order. "." asks for the root only; "" is Syncthing's own .stfolder.
	Marker string
	// MaxConflicts is how many conflict copies of a file are kept; -1: all, 0:
	// the loser is dropped, as the original does.
	MaxConflicts int
	// TrashDir keeps what a peer's change replaces or deletes; empty: nothing
	// is kept. TrashDays is how long; 0: for ever.
	TrashDir  string
	TrashDays int
	// Fsync each received file. Safer when the machine itself may crash.
	Fsync bool
	// ConcurrentWrites of received files; 0: Syncthing's 2.
	ConcurrentWrites int
	// GuardRoot stops the folder when its root is emptied, swapped or
	// unmounted.
	GuardRoot bool

	// raw carries what config.xml says beyond the fields above.
	raw *config.FolderConfiguration
}

// WatchOptions tune the watcher; zero values are the defaults.
type WatchOptions struct {
	// Settle is how long a closed file rests before it is scanned: renames and
	// second writes follow at once. Default 1 ms.
	Settle time.Duration
	// DeleteHold is how long a removal rests, since many editors remove and
	// write anew. Default 8 ms.
	DeleteHold time.Duration
	// Quiet is how long a file that stays open must rest. Default 400 ms.
	Quiet time.Duration
	// MaxHold bounds how long open files may hold back their folder. Default 2 s.
	MaxHold time.Duration
	// PollInterval between scans where changes cannot be watched. Default 2 s;
	// it grows with the time a scan takes.
	PollInterval time.Duration
	// Disabled leaves everything to scans.
	Disabled bool
	// MaxWatches bounds the directories watched; 0: the system's limit.
	MaxWatches int
}

func (w WatchOptions) withDefaults() WatchOptions {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&w.Settle, time.Millisecond)
	set(&w.DeleteHold, 8*time.Millisecond)
	set(&w.Quiet, 400*time.Millisecond)
	set(&w.MaxHold, 2*time.Second)
	set(&w.PollInterval, 2*time.Second)
	return w
}

// Validate fills defaults and reports what cannot work.
func (c *Config) Validate() error {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.OnIgnores == nil {
		c.OnIgnores = func(string) {}
	}
	if c.OnConnect == nil {
		c.OnConnect = func() {}
	}
	if c.Home == "" {
		return errors.New("sync engine: no home folder")
	}
	if c.DataDir == "" {
		c.DataDir = c.Home
	}
	if len(c.Certificate.Certificate) == 0 {
		return errors.New("sync engine: no certificate")
	}
	for _, p := range c.Peers {
		if _, err := protocol.DeviceIDFromString(p.ID); err != nil {
			return fmt.Errorf("sync engine: peer %q: %w", p.ID, err)
		}
	}
	for _, address := range []string{c.ListenAddress, c.GUIAddress} {
		if address == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("sync engine: listen on %q: %w", address, err)
		}
	}
	seen := map[string]bool{}
	for i, f := range c.Folders {
		switch {
		case f.ID == "":
			return fmt.Errorf("sync engine: folder %s has no id", f.Path)
		case seen[f.ID]:
			return fmt.Errorf("sync engine: folder id %s is used twice", f.ID)
		case f.Path == "" || !filepath.IsAbs(f.Path):
			return fmt.Errorf("sync engine: folder %s: path %q is not absolute", f.ID, f.Path)
		}
		seen[f.ID] = true
		c.Folders[i].Path = filepath.Clean(f.Path)
	}
	c.Watch = c.Watch.withDefaults()
	return nil
}

// DeviceID of this end.
func (c *Config) DeviceID() protocol.DeviceID {
	return protocol.NewDeviceID(c.Certificate.Certificate[0])
}

// XML is the configuration as Syncthing's config.xml, for an end that runs
// Syncthing itself.
func (c *Config) XML() ([]byte, error) {
	raw, err := c.syncthing()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := raw.WriteXML(&out); err != nil {
		return nil, fmt.Errorf("write sync configuration: %w", err)
	}
	return out.Bytes(), nil
}

// syncthing translates to Syncthing's own configuration, with everything off
// that could reach beyond the two ends.
func (c *Config) syncthing() (config.Configuration, error) {
	me := c.DeviceID()
	raw := config.New(me)
	raw.Devices = []config.DeviceConfiguration{{DeviceID: me, Name: c.Name, Addresses: []string{"dynamic"}}}
	shared := []config.FolderDeviceConfiguration{{DeviceID: me}}
	for _, p := range c.Peers {
		device, err := p.syncthing()
		if err != nil {
			return raw, err
		}
		raw.Devices = append(raw.Devices, device)
		shared = append(shared, config.FolderDeviceConfiguration{DeviceID: device.DeviceID})
	}
	raw.Folders = nil
	for _, f := range c.Folders {
		raw.Folders = append(raw.Folders, f.syncthing(shared))
	}
	raw.GUI.Enabled = c.GUIAddress != ""
	raw.GUI.RawAddress = c.GUIAddress
	raw.GUI.APIKey = c.APIKey
	raw.GUI.User, raw.GUI.Password = c.GUIUser, c.GUIPassword
	if c.GUIUser == "" || c.GUIPassword == "" {
		// Without a user the interface gives everything to whoever asks for its
		// page first: to other containers of the pod, other users of the laptop,
		// and web pages, by DNS rebinding. This one has no password that matches.
		raw.GUI.User, raw.GUI.Password = "nobody", "*"
	}
	raw.GUI.RawUseTLS = false
	// The REST interface is reached through forwards whose client names hosts
	// of its own, and only from loopback.
	raw.GUI.InsecureSkipHostCheck = true
	raw.GUI.MetricsWithoutAuth = false // they name folders and devices
	raw.GUI.Debugging = false
	raw.Options = quietOptions(raw.Options)
	raw.Options.RawListenAddresses = []string{}
	if c.ListenAddress != "" {
		raw.Options.RawListenAddresses = []string{"tcp://" + c.ListenAddress}
	}
	// A round trip through XML runs Syncthing's own checks and defaults.
	var out bytes.Buffer
	if err := raw.WriteXML(&out); err != nil {
		return raw, fmt.Errorf("write sync configuration: %w", err)
	}
	prepared, _, err := config.ReadXML(&out, me)
	if err != nil {
		return raw, fmt.Errorf("sync configuration: %w", err)
	}
	return prepared, nil
}

// quietOptions turn off all that talks to third parties.
func quietOptions(o config.OptionsConfiguration) config.OptionsConfiguration {
	o.GlobalAnnEnabled, o.LocalAnnEnabled, o.RelaysEnabled, o.NATEnabled = false, false, false, false
	o.AnnounceLANAddresses, o.StartBrowser = false, false
	o.URAccepted, o.CREnabled, o.AutoUpgradeIntervalH = -1, false, 0
	o.StunKeepaliveStartS, o.StunKeepaliveMinS = 0, 0
	o.RawGlobalAnnServers, o.RawStunServers = []string{}, []string{}
	o.ReleasesURL, o.CRURL, o.URURL = "", "", ""
	o.SetLowPriority = false
	o.ReconnectIntervalS = 1
	o.ProgressUpdateIntervalS = 1
	o.MinHomeDiskFree = config.Size{}
	return o
}

func (p Peer) syncthing() (config.DeviceConfiguration, error) {
	id, err := protocol.DeviceIDFromString(p.ID)
	if err != nil {
		return config.DeviceConfiguration{}, fmt.Errorf("sync peer %q: %w", p.ID, err)
	}
	device := config.DeviceConfiguration{DeviceID: id, Name: p.Name, Compression: config.CompressionMetadata}
	if p.Compression {
		device.Compression = config.CompressionAlways
	}
	device.Addresses = []string{"dynamic"}
	if p.Address != "" {
		device.Addresses = []string{"tcp://" + p.Address}
	}
	return device, nil
}

func (f Folder) syncthing(shared []config.FolderDeviceConfiguration) config.FolderConfiguration {
	var raw config.FolderConfiguration
	if f.raw != nil {
		raw = f.raw.Copy()
	} else {
		raw = config.FolderConfiguration{
			AutoNormalize:   true,
			FilesystemType:  config.FilesystemTypeBasic,
			CopyRangeMethod: config.CopyRangeMethodStandard,
			MinDiskFree:     config.Size{Value: 1, Unit: "%"},
			// What was saved last is what is waited for.
			Order: config.PullOrderNewestFirst,
		}
		raw.Devices = shared
	}
	raw.ID, raw.Label, raw.Path = f.ID, f.Label, f.Path
	raw.FilesystemType = config.FilesystemTypeBasic
	raw.Type = config.FolderTypeSendReceive
	if f.SendOnly {
		raw.Type = config.FolderTypeSendOnly
	}
	raw.IgnoreDelete = false
	raw.RescanIntervalS = int(f.RescanInterval / time.Second)
	raw.MarkerName = f.Marker
	raw.MaxConflicts = f.MaxConflicts
	raw.DisableFsync = !f.Fsync
	raw.MaxConcurrentWrites = f.ConcurrentWrites
	// What could not be put in place is tried again after a second, then two,
	// four, … up to a minute.
	raw.ScanProgressIntervalS = -1 // nobody asks: a file is hashed as soon as it is found
	raw.PullerPauseS = 1
	raw.FSWatcherEnabled = true
	raw.FSWatcherDelayS = 1
	raw.Versioning = config.VersioningConfiguration{Params: map[string]string{}}
	if f.TrashDir != "" {
		raw.Versioning = config.VersioningConfiguration{
			Type:             trashType,
			Params:           map[string]string{"keep": trashKeep, "cleanoutDays": strconv.Itoa(f.TrashDays)},
			CleanupIntervalS: 3600,
			FSPath:           f.TrashDir,
			FSType:           config.FilesystemTypeBasic,
		}
	}
	return raw
}
