package sync

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	gosync "sync"
	"time"

	"okteto/internal/contract"
	"okteto/internal/engine"
	"okteto/internal/identity"
)

// Options of the daemon, as its parent sees it.
type Options struct {
	// Home is the environment's folder, ~/.okteto/<namespace>/<name>.
	Home     string
	Identity identity.Environment
	Folders  []Folder
	// PeerAddress is where the pod's port 22000 can be reached, host:port; empty:
	// not yet, Reconnect will tell, as when the pod is seeded first.
	PeerAddress string
	// RemoteAPIAddress is where the pod's port 8384 can be reached, host:port;
	// empty: it cannot, and then the pod's own errors are not known.
	RemoteAPIAddress string
	// Executable is the okteto program; empty: the running one.
	Executable string
	// Compression of all data, not only metadata.
	Compression bool
	// RescanInterval between full scans, the watcher's safety net; 0: five
	// minutes.
	RescanInterval time.Duration
	// Reset starts with a new database.
	Reset bool
	Log   *slog.Logger
}

// Validate fills defaults and reports what cannot work.
func (o *Options) Validate() error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Home == "" {
		return errors.New("sync: no home folder")
	}
	if o.RescanInterval == 0 {
		o.RescanInterval = defaultRescan
	}
	if o.Executable == "" {
		path, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find okteto's own program: %w", err)
		}
		o.Executable = path
	}
	if len(o.Folders) == 0 {
		return errors.New("sync: no folders")
	}
	for _, f := range o.Folders {
		info, err := os.Stat(f.LocalPath)
		if err != nil {
			return fmt.Errorf("sync folder: %w", err)
		}
		if !info.IsDir() {
			return fmt.Errorf("sync folder %s: not a folder", f.LocalPath)
		}
	}
	return o.Identity.Validate()
}

// Daemon is a running daemon, seen from its parent.
type Daemon struct {
	o      Options
	peerID string
	client *engine.Client
	stdin  io.Closer
	cmd    *exec.Cmd
	first  bool
	done   chan struct{}

	mu  gosync.Mutex
	err error // protected by mu
	// stopping is set when the end was asked for; protected by mu.
	stopping bool
}

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
)

// Start runs the daemon. A left-over one is ended first. The daemon ends with
// the calling process, whatever ends that, or by Stop.
func Start(ctx context.Context, o Options) (*Daemon, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Home, 0o700); err != nil {
		return nil, fmt.Errorf("make sync home: %w", err)
	}
	if err := endStale(ctx, o.Home); err != nil {
		return nil, err
	}
	d := &Daemon{o: o, done: make(chan struct{})}
	if err := d.prepare(); err != nil {
		return nil, err
	}
	ready, err := d.spawn()
	if err != nil {
		return nil, err
	}
	if err := d.awaitReady(ctx, ready); err != nil {
		return nil, errors.Join(err, d.Stop(context.WithoutCancel(ctx)))
	}
	return d, nil
}

// prepare writes what the daemon reads.
func (d *Daemon) prepare() error {
	peer, err := d.o.Identity.RemoteDeviceID()
	if err != nil {
		return err
	}
	d.peerID = peer
	for name, content := range map[string][]byte{
		contract.SyncthingCertFile: d.o.Identity.LocalCert,
		contract.SyncthingKeyFile:  d.o.Identity.LocalKey,
	} {
		if err := writePrivate(filepath.Join(d.o.Home, name), content); err != nil {
			return err
		}
	}
	if d.o.Reset {
		if err := engine.ResetDatabase(d.o.Home); err != nil {
			return err
		}
	}
	d.first = d.o.Reset || !wasSynced(d.o.Home, peer, d.o.Folders)
	s := settings{
		APIKey: d.o.Identity.APIKey, PeerID: peer, PeerAddress: d.o.PeerAddress, Compression: d.o.Compression,
		RemoteAPI: d.o.RemoteAPIAddress, RescanSecond: int(d.o.RescanInterval / time.Second), SendOnly: map[string]bool{},
	}
	for _, f := range d.o.Folders {
		path, err := filepath.Abs(f.LocalPath)
		if err != nil {
			return fmt.Errorf("sync folder: %w", err)
		}
		s.Folders = append(s.Folders, settingsFolder{ID: f.ID, Path: path})
		s.SendOnly[f.ID] = d.first
	}
	return s.write(d.o.Home)
}

// spawn starts the process and returns its standard output.
func (d *Daemon) spawn() (io.Reader, error) {
	log, err := os.OpenFile(filepath.Join(d.o.Home, contract.SyncthingLogFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open sync log: %w", err)
	}
	defer log.Close()
	out, outW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start sync daemon: %w", err)
	}
	defer outW.Close()
	in, inW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start sync daemon: %w", err), out.Close())
	}
	defer in.Close()
	d.cmd = exec.Command(d.o.Executable, "syncthing", "--home", d.o.Home)
	d.cmd.Stdin, d.cmd.Stdout, d.cmd.Stderr = in, outW, log
	// The library's own log goes to standard output unless this is set.
	d.cmd.Env = append(os.Environ(), "LOGGER_DISCARD=1", "STNOUPGRADE=1")
	d.stdin = inW
	ended, err := run(d.cmd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start sync daemon: %w", err), out.Close(), inW.Close())
	}
	go func() { // ends with the child
		err := <-ended
		d.mu.Lock()
		if !d.stopping {
			d.err = fmt.Errorf("sync daemon ended: %w; its log is %s%s", orExit(err), log.Name(), lastLines(log.Name()))
		}
		d.mu.Unlock()
		out.Close()
		close(d.done)
	}()
	return out, nil
}

var errExited = errors.New("exit status 0")

func orExit(err error) error {
	if err == nil {
		return errExited
	}
	return err
}

// lastLines of a log, to show why the daemon ended.
func lastLines(path string) string {
	const lines, limit = 3, 4 << 10
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	content = bytes.TrimSpace(content[max(0, len(content)-limit):])
	all := bytes.Split(content, []byte("\n"))
	return "\n  " + string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n  ")))
}

func (d *Daemon) awaitReady(ctx context.Context, out io.Reader) error {
	lines := make(chan []byte, 1)
	go func() { // ends when the child does
		scanner := bufio.NewScanner(out)
		if scanner.Scan() {
			lines <- scanner.Bytes()
		}
	}()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-d.done:
		return d.Err()
	case <-timeout.C:
		return fmt.Errorf("sync daemon is not ready after %v; its log is %s", startTimeout, filepath.Join(d.o.Home, contract.SyncthingLogFile))
	case line := <-lines:
		var ready readyLine
		if err := json.Unmarshal(line, &ready); err != nil {
			return fmt.Errorf("sync daemon said %q: %w", line, err)
		}
		d.client = engine.NewClient(ready.Control, d.o.Identity.APIKey)
		return writeInfo(d.o, ready)
	}
}

// First reports whether these folders have never been equal to the pod's: then
// the laptop's state wins once.
func (d *Daemon) First() bool { return d.first }

// Done is closed when the daemon has ended.
func (d *Daemon) Done() <-chan struct{} { return d.done }

// Err says why the daemon ended by itself; nil while it runs or after Stop.
func (d *Daemon) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// Stop ends the daemon in order and waits for its end.
func (d *Daemon) Stop(ctx context.Context) error {
	d.mu.Lock()
	d.stopping = true
	d.mu.Unlock()
	d.stdin.Close()
	if d.client != nil {
		d.client.Close()
	}
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-d.done:
	case <-ctx.Done():
		_ = d.cmd.Process.Kill()
		<-d.done
	case <-timeout.C:
		_ = d.cmd.Process.Kill()
		<-d.done
	}
	return removeInfo(d.o.Home)
}

// Reconnect points the daemon at the pod's port 22000 behind a new tunnel and
// dials at once.
func (d *Daemon) Reconnect(ctx context.Context, peerAddress string) error {
	return d.client.SetPeerAddress(ctx, d.peerID, peerAddress)
}
