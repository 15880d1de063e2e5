package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"okteto/internal/cgroup"
	"okteto/internal/contract"
	"okteto/internal/engine"
)

// Options of the daemon.
type Options struct {
	// Config holds config.xml, cert.pem, key.pem and perhaps engine.json; Data
	// the database.
	Config, Data string
	// ListenAddress and GUIAddress, host:port; loopback unless told otherwise.
	ListenAddress, GUIAddress string
	// Reset starts with a new database.
	Reset bool
	// Verbose logs what the engine does.
	Verbose bool
}

// parse reads the flags. Those of Syncthing's own program that have no meaning
// here are accepted, so that whoever starts it with them finds it works.
func parse(args []string, out io.Writer) (Options, error) {
	var o Options
	flags := pflag.NewFlagSet("syncthing", pflag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.Config, "config", contract.SyncthingHome, "folder of config.xml, cert.pem, key.pem and engine.json")
	flags.StringVar(&o.Data, "data", "", "folder of the database (default: the value of --config)")
	home := flags.String("home", "", "short for --config and --data")
	flags.StringVar(&o.ListenAddress, "listen-address", loopback(contract.SyncthingPort), "host:port for the synchronization's own protocol")
	flags.StringVar(&o.GUIAddress, "gui-address", loopback(contract.SyncthingGUIPort), "host:port of the REST interface")
	flags.BoolVar(&o.Reset, "reset-database", false, "start with a new database; files are compared again, none is deleted")
	flags.BoolVar(&o.Verbose, "verbose", false, "log what the engine does")
	for _, name := range []string{"no-browser", "no-restart", "no-upgrade", "no-default-folder", "skip-port-probing"} {
		flags.Bool(name, false, "accepted for Syncthing's sake")
		_ = flags.MarkHidden(name)
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if rest := flags.Args(); len(rest) > 0 {
		return o, fmt.Errorf("unexpected argument %q; see --help", rest[0])
	}
	if *home != "" {
		o.Config, o.Data = *home, *home
	}
	if o.Data == "" {
		o.Data = o.Config
	}
	return o, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Validate reports what cannot work.
func (o Options) Validate() error {
	for _, address := range []string{o.ListenAddress, o.GUIAddress} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("listen on %q: %w", address, err)
		}
	}
	for _, dir := range []string{o.Config, o.Data} {
		if !filepath.IsAbs(dir) {
			return fmt.Errorf("folder %q: not an absolute path", dir)
		}
	}
	return nil
}

// Run synchronizes until the context ends. A request to restart, which the REST
// interface has, starts everything anew.
func Run(ctx context.Context, o Options) error {
	level := slog.LevelInfo
	if o.Verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	limitMemory(log)
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	if o.Reset {
		if err := engine.ResetDatabase(o.Data); err != nil {
			return err
		}
	}
	for {
		err := serve(ctx, o, log)
		switch {
		case errors.Is(err, engine.ErrRestart):
			log.Info("restarting on request")
		case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
			log.Error("waiting for space", "err", err)
			if awaitSpace(ctx, o.Data) != nil {
				return nil
			}
		default:
			return err
		}
	}
}

// spaceRest is how often it is tried whether a disk has space again: a quota is met
// by writing only.
const spaceRest = 2 * time.Second

// awaitSpace returns when it is worth trying again; the error is that of the context.
func awaitSpace(ctx context.Context, dataDir string) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(spaceRest):
		return engine.AwaitRoom(ctx, dataDir)
	}
}

const (
	// gcPercent trades a little time for memory, which is the developer's.
	gcPercent = 50
	// memoryShare is the part of the container's limit, one in so many, from which on
	// memory is saved at any price. The kernel needs some for the files themselves:
	// without it, it takes away the pages of the programs that run.
	memoryShare = 3
)

// limitMemory leaves the container's memory to what is developed in it.
func limitMemory(log *slog.Logger) {
	debug.SetGCPercent(gcPercent)
	group, err := cgroup.Self()
	if err != nil {
		log.Debug("no memory limit is known", "err", err)
		return
	}
	limit, err := group.Limit()
	if err != nil {
		log.Debug("no memory limit is known", "err", err)
		return
	}
	debug.SetMemoryLimit(int64(min(limit/memoryShare, math.MaxInt64)))
}

func serve(ctx context.Context, o Options, log *slog.Logger) error {
	config, err := engine.FromXML(engine.XMLOptions{
		Home: o.Config, DataDir: o.Data, ListenAddress: o.ListenAddress, GUIAddress: o.GUIAddress, Log: log,
	})
	if err != nil {
		return err
	}
	e, err := engine.New(config)
	if err != nil {
		return err
	}
	// Syncthing's own families are in the default registry, which /metrics of
	// the REST interface serves.
	unregister, err := e.Register(prometheus.DefaultRegisterer)
	if err != nil {
		e.Close()
		return fmt.Errorf("register metrics: %w", err)
	}
	defer unregister()
	log.Info("synchronization starts", "device", e.DeviceID(), "folders", len(config.Folders), "listen", e.ListenAddress(), "gui", config.GUIAddress)
	return serveAndDrain(ctx, e, log)
}
