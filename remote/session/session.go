// Package session serves SSH session channels (RFC 4254 section 6): commands,
// shells and subsystems, with or without a terminal.
//
// What it promises about the wire:
//
//   - a command's output, then EOF, then exit-status or exit-signal, then
//     close, in this order, however slowly the client reads; nothing is added
//     to the streams;
//   - a command that ended is reported at once, even while a child of it
//     holds its output open; the child goes on undisturbed;
//   - a client that vanishes takes its command's process group along (HUP,
//     then CONT), except for what it protected with nohup or setsid;
//   - the request loop never blocks: resizes and signals are applied as they
//     come in.
//
// A session that names a terminal (see terminal.go) outlives its connection.
package session

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Subsystem serves one session channel: what it reads is what the client
// sends, until the client's EOF. Its ctx ends when the client goes away. A nil
// error is exit status 0, any other 1.
type Subsystem func(ctx context.Context, rw io.ReadWriter) error

// Options of all sessions of a server.
type Options struct {
	// WorkDir is where commands and shells start; empty means the server's own.
	WorkDir string
	// Environ is what sessions inherit, as os.Environ has it; nil for the server's
	// own.
	Environ []string
	// Busybox is the shell of last resort and AppletDirs are where links to
	// its applets may be kept, the first writable one is used.
	Busybox    string
	AppletDirs []string
	// AcceptEnv lists names, or prefixes ending in *, that clients may set.
	AcceptEnv []string
	// LoginShell starts interactive shells as login shells. Off by default:
	// /etc/profile of most images overwrites the PATH of the image.
	LoginShell bool
	// Subsystems by name.
	Subsystems map[string]Subsystem
	// Self is this program, run as "scp" when the image has none.
	Self string
	// Silence is how long a command's output must be quiet after its end
	// before a channel whose output is still held open is closed.
	Silence time.Duration

	// TerminalGrace is how long a named terminal waits for its client to come
	// back; MaxTerminals and TerminalBuffer (bytes of recent output each)
	// bound what they use.
	TerminalGrace  time.Duration
	MaxTerminals   int
	TerminalBuffer int

	Log     *slog.Logger
	Metrics *Metrics
}

// Client is what a session knows of the connection it runs on.
type Client struct {
	// ID marks the connection in the log; Key is the fingerprint it
	// authenticated with.
	ID, Key       string
	Remote, Local net.Addr
	// Lost is closed as soon as the transport has failed.
	Lost <-chan struct{}
	// Agent returns the socket that leads to this client's SSH agent; nil
	// when agent forwarding is not allowed.
	Agent func() (string, error)
	// StableAgent leads to the newest agent of any connection; "" if none.
	StableAgent string
}

// Server runs sessions.
type Server struct {
	opts      Options
	terminals *terminals
	shells    *shellFinder

	mu     sync.Mutex // protects the following
	procs  map[*process]struct{}
	files  map[*os.File]struct{} // outputs that are being read
	closed bool
	wg     sync.WaitGroup
}

// New returns a server of sessions.
func New(opts Options) *Server {
	if opts.Environ == nil {
		opts.Environ = os.Environ()
	}
	s := &Server{opts: opts, procs: make(map[*process]struct{}), files: make(map[*os.File]struct{})}
	s.shells = &shellFinder{busybox: opts.Busybox, dirs: opts.AppletDirs}
	s.terminals = newTerminals(opts)
	return s
}

// Serve handles one session channel until it is closed. It is called with an
// accepted channel and its requests.
func (s *Server) Serve(ctx context.Context, client Client, ch ssh.Channel, reqs <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	x := &exchange{
		srv:    s,
		client: client,
		ch:     ch,
		cancel: cancel,
		gone:   make(chan struct{}),
		log:    s.opts.Log.With("conn", client.ID),
	}
	x.wg.Add(1)
	go func() {
		defer x.wg.Done()
		discard(ch.Stderr())
	}()
	for req := range reqs {
		ok := x.handle(ctx, req)
		if req.WantReply {
			_ = req.Reply(ok, nil)
		}
		if x.ready != nil {
			x.ready()
			x.ready = nil
		}
	}
	close(x.gone)
	cancel()
	x.wg.Wait()
	_ = ch.Close()
}

// discard takes what a client sends beside the data of a channel (RFC 4254 section
// 5.2), for which there is no use, so that it does not use up the channel's window.
func discard(r io.Reader) {
	buf := make([]byte, 512)
	for {
		if _, err := r.Read(buf); err != nil {
			return
		}
	}
}

// exchange is one session channel: what the client has asked for so far and
// what runs for it.
type exchange struct {
	srv    *Server
	client Client
	ch     ssh.Channel
	cancel context.CancelFunc
	log    *slog.Logger

	// gone is closed when the client closed the channel or vanished.
	gone chan struct{}
	// wg counts the goroutines that use the channel.
	wg sync.WaitGroup

	// The following belong to the request loop.
	env       []string
	pty       *ptyRequest
	agentSock string
	terminal  string
	reader    reader
	started   bool
	// persistent is set when the program's terminal outlives the connection.
	persistent bool
	target     target
	// ready starts the streams, after the reply has been sent.
	ready func()
}

// target is what runs in a session, as far as requests can reach it.
type target interface {
	resize(window)
	signal(ssh.Signal) bool
	// stopOutput tells that the client reads no more of stdout.
	stopOutput()
}
