package sshd

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"okteto/internal/contract"
	"okteto/remote/session"
)

// Options of the server. The zero value is not valid: start from Defaults.
type Options struct {
	// Address and Port to listen on.
	Address string
	Port    int
	// AuthorizedKeys is a file in OpenSSH's format. It must exist at the
	// start, and is read anew for each login.
	AuthorizedKeys string
	// HostKey is the private host key; it is made if it does not exist.
	HostKey string
	// MetricsSocket is a unix socket that serves /metrics over HTTP; empty
	// turns it off.
	MetricsSocket string
	// AgentSocket is the stable path of the newest forwarded agent.
	AgentSocket string

	// AllowRSASHA1 accepts signatures of RSA keys with SHA-1. Only the oldest
	// original clients (1.9 to 1.13) need it.
	AllowRSASHA1 bool
	// HandshakeTimeout is how long a client may take to log in.
	HandshakeTimeout time.Duration
	// MaxUnauthenticated bounds connections that have not logged in; the
	// oldest is dropped for a new one.
	MaxUnauthenticated int
	// MaxSessions, MaxForwards and MaxListeners bound one connection.
	MaxSessions, MaxForwards, MaxListeners int
	// KeepaliveInterval and KeepaliveMisses: a client that has not answered
	// for their product is dropped. TCP's own keepalive cannot see through a
	// Kubernetes port-forward.
	KeepaliveInterval time.Duration
	KeepaliveMisses   int
	// DialTimeout of forwards.
	DialTimeout time.Duration
	// LoopbackForwards makes remote forwards listen on loopback only.
	LoopbackForwards bool
	// DrainTimeout is how long sessions may take to end at shutdown.
	DrainTimeout time.Duration

	// WorkDir of sessions and sftp.
	WorkDir string
	// Environ is what sessions inherit; nil for the server's own environment.
	Environ []string
	// AcceptEnv are variables clients may set, besides the default ones.
	AcceptEnv []string
	// LoginShell makes interactive shells login shells.
	LoginShell bool
	// TerminalGrace, MaxTerminals and TerminalBuffer bound persistent
	// terminals, see session.Options.
	TerminalGrace  time.Duration
	MaxTerminals   int
	TerminalBuffer int
	// Busybox is the shell of last resort.
	Busybox string
	// Subsystems besides sftp.
	Subsystems map[string]session.Subsystem

	Log *slog.Logger
}

// Defaults are those of the pod.
func Defaults() Options {
	wd, err := os.Getwd()
	if err != nil {
		wd = "/"
	}
	return Options{
		Address:            "127.0.0.1",
		Port:               contract.SSHPort,
		AuthorizedKeys:     contract.AuthorizedKeys,
		HostKey:            contract.HostKeyFile,
		MetricsSocket:      contract.RemoteMetricsSocket,
		AgentSocket:        contract.AgentSocket,
		HandshakeTimeout:   15 * time.Second,
		MaxUnauthenticated: 100,
		MaxSessions:        256,
		MaxForwards:        2048,
		MaxListeners:       256,
		KeepaliveInterval:  15 * time.Second,
		KeepaliveMisses:    3,
		DialTimeout:        30 * time.Second,
		DrainTimeout:       5 * time.Second,
		WorkDir:            wd,
		TerminalGrace:      15 * time.Minute,
		MaxTerminals:       16,
		TerminalBuffer:     256 << 10,
		Busybox:            contract.Busybox,
		Subsystems:         map[string]session.Subsystem{},
		Log:                slog.New(slog.DiscardHandler),
	}
}

// Validate reports the first option that cannot work.
func (o *Options) Validate() error {
	if ip := net.ParseIP(o.Address); ip == nil && o.Address != "localhost" {
		return fmt.Errorf("address %q is not an IP address", o.Address)
	}
	if o.Port < 0 || o.Port > 65535 {
		return fmt.Errorf("port %d is out of range", o.Port)
	}
	if o.AuthorizedKeys == "" || o.HostKey == "" {
		return errors.New("the files of authorized keys and of the host key must be named")
	}
	for name, v := range map[string]int{
		"max unauthenticated": o.MaxUnauthenticated, "max sessions": o.MaxSessions,
		"max forwards": o.MaxForwards, "max listeners": o.MaxListeners,
		"keepalive misses": o.KeepaliveMisses,
	} {
		if v < 1 {
			return fmt.Errorf("%s must be at least 1, not %d", name, v)
		}
	}
	for name, d := range map[string]time.Duration{
		"handshake timeout": o.HandshakeTimeout, "keepalive interval": o.KeepaliveInterval,
		"dial timeout": o.DialTimeout,
	} {
		if d <= 0 {
			return fmt.Errorf("%s must be positive, not %v", name, d)
		}
	}
	if o.MaxTerminals < 0 || o.TerminalBuffer < 0 || o.TerminalGrace < 0 || o.DrainTimeout < 0 {
		return errors.New("terminal limits and the drain timeout must not be negative")
	}
	if !filepath.IsAbs(o.WorkDir) {
		return fmt.Errorf("work directory %q is not an absolute path", o.WorkDir)
	}
	return nil
}

func (o *Options) listenAddress() string {
	return net.JoinHostPort(o.Address, strconv.Itoa(o.Port))
}
