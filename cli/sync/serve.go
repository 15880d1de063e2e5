package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/syncthing/syncthing/lib/logger"

	"okteto/cli/memory"
	"okteto/internal/contract"
	"okteto/internal/engine"
)

// readyLine is what the daemon tells its parent on standard output, once.
type readyLine struct {
	Control string `json:"control"`
	GUI     string `json:"gui"`
	PID     int    `json:"pid"`
}

// ServeOptions of the daemon's own process.
type ServeOptions struct {
	// Home is the environment's folder.
	Home string
	// Parent is the daemon's lifeline: it ends when this does.
	Parent io.Reader
	// Ready receives one line when the daemon can be talked to.
	Ready io.Writer
	// Log receives the log.
	Log io.Writer
}

// Serve is the daemon: it synchronizes until its context ends or its parent
// does.
func Serve(ctx context.Context, o ServeOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	log := slog.New(slog.NewTextHandler(o.Log, nil))
	forwardSyncthingLog(log)
	lock, err := acquire(o.Home)
	if err != nil {
		return err
	}
	defer lock.release()
	s, err := readSettings(o.Home)
	if err != nil {
		return err
	}
	go func() { // ends with the process at the latest
		_, _ = io.Copy(io.Discard, o.Parent)
		log.Info("okteto is gone: ending")
		cancel()
	}()
	go memory.ReturnWhenQuiet(ctx)
	for {
		err := serveOnce(ctx, o, s, log)
		if !errors.Is(err, engine.ErrRestart) {
			return err
		}
		log.Info("restarting on request")
	}
}

func serveOnce(ctx context.Context, o ServeOptions, s settings, log *slog.Logger) error {
	gui, err := freeAddress()
	if err != nil {
		return err
	}
	config, err := s.engineConfig(o.Home, gui, log)
	if err != nil {
		return err
	}
	pusher := newIgnorePusher(s, log)
	config.OnIgnores = func(string) { pusher.changed() }
	config.OnConnect = pusher.changed
	e, err := engine.New(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	pushed := make(chan struct{})
	go func() {
		defer close(pushed)
		pusher.run(ctx)
	}()
	defer func() {
		cancel()
		<-pushed
	}()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.Close()
		return fmt.Errorf("listen for control of sync daemon: %w", err)
	}
	server := e.NewControlServer(s.APIKey)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("control interface", "err", err)
		}
	}()
	defer func() {
		server.Close()
		<-served
	}()
	if err := writePrivate(filepath.Join(o.Home, contract.SyncthingPIDFile), []byte(strconv.Itoa(os.Getpid()))); err != nil {
		e.Close()
		return err
	}
	defer os.Remove(filepath.Join(o.Home, contract.SyncthingPIDFile))
	line, err := json.Marshal(readyLine{Control: listener.Addr().String(), GUI: gui, PID: os.Getpid()})
	if err == nil {
		_, err = fmt.Fprintf(o.Ready, "%s\n", line)
	}
	if err != nil {
		log.Info("tell okteto that the daemon is ready", "err", err)
	}
	return e.Serve(ctx)
}

// freeAddress is a port of loopback that nobody uses at the moment.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// forwardSyncthingLog sends the library's lines to our log. Its own output is
// turned off by the environment that the daemon is started with.
func forwardSyncthingLog(log *slog.Logger) {
	levels := map[logger.LogLevel]slog.Level{
		logger.LevelVerbose: slog.LevelDebug, logger.LevelInfo: slog.LevelInfo, logger.LevelWarn: slog.LevelWarn,
	}
	logger.DefaultLogger.AddHandler(logger.LevelVerbose, func(level logger.LogLevel, message string) {
		log.Log(context.Background(), levels[level], message)
	})
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
