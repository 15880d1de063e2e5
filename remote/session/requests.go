package session

import (
	"context"
	"errors"

	"golang.org/x/crypto/ssh"

	"okteto/internal/contract"
)

// Limits of what one session may send before it starts.
const (
	maxEnv      = 256
	maxEnvBytes = 64 << 10
)

// handle applies one channel request and returns whether it succeeded.
func (x *exchange) handle(ctx context.Context, req *ssh.Request) bool {
	switch req.Type {
	case "env":
		return x.handleEnv(req.Payload)
	case "pty-req":
		return x.handlePty(req.Payload)
	case "window-change":
		return x.handleWindow(req.Payload)
	case "signal":
		return x.handleSignal(req.Payload)
	case "auth-agent-req@openssh.com":
		return x.handleAgent()
	case "exec", "shell", "subsystem":
		return x.handleStart(ctx, req)
	case "eow@openssh.com":
		// OpenSSH PROTOCOL section 2.1: the client reads no more.
		if x.target != nil {
			x.target.stopOutput()
		}
		return true
	case "break":
		// RFC 4335; as OpenSSH, which passes it on to a terminal, where Linux
		// has nothing to break.
		return x.target != nil && x.pty != nil
	default: // x11-req, auth-agent of other vendors, …
		return false
	}
}

func (x *exchange) handleEnv(payload []byte) bool {
	var msg struct{ Name, Value string }
	if x.started || ssh.Unmarshal(payload, &msg) != nil {
		return false
	}
	if msg.Name == contract.EnvTerminal {
		if !validTerminalID(msg.Value) {
			return false
		}
		x.terminal = msg.Value
		return true
	}
	if msg.Name == contract.EnvTerminalSeen {
		r, err := parseReader(msg.Value)
		if err != nil {
			x.log.Debug("name of a terminal's client refused", "err", err)
			return false
		}
		x.reader = r
		return true
	}
	size := len(msg.Name) + len(msg.Value)
	for _, kv := range x.env {
		size += len(kv)
	}
	if len(x.env) >= maxEnv || size > maxEnvBytes || !acceptEnv(x.srv.opts.AcceptEnv, msg.Name, msg.Value) {
		return false
	}
	x.env = append(x.env, msg.Name+"="+msg.Value)
	return true
}

func (x *exchange) handlePty(payload []byte) bool {
	if x.started || x.pty != nil {
		return false
	}
	req, err := parsePtyRequest(payload)
	if err != nil {
		x.log.Debug("pty request refused", "err", err)
		return false
	}
	x.pty = req
	return true
}

func (x *exchange) handleWindow(payload []byte) bool {
	win, err := parseWindow(payload)
	if err != nil || x.pty == nil {
		return false
	}
	x.pty.window = win
	if x.target != nil {
		x.target.resize(win)
	}
	return true
}

func (x *exchange) handleSignal(payload []byte) bool {
	var msg struct{ Name string }
	if x.target == nil || ssh.Unmarshal(payload, &msg) != nil {
		return false
	}
	return x.target.signal(ssh.Signal(msg.Name))
}

func (x *exchange) handleAgent() bool {
	if x.started || x.client.Agent == nil {
		return false
	}
	sock, err := x.client.Agent()
	if err != nil {
		x.log.Warn("agent forwarding failed", "err", err)
		return false
	}
	x.agentSock = sock
	return true
}

// handleStart starts the session's one program (RFC 4254 section 6.5: only one
// of these requests can succeed per channel).
func (x *exchange) handleStart(ctx context.Context, req *ssh.Request) bool {
	if x.started {
		return false
	}
	var msg struct{ Text string }
	if req.Type != "shell" && ssh.Unmarshal(req.Payload, &msg) != nil {
		return false
	}
	var err error
	if req.Type == "subsystem" {
		err = x.startSubsystem(ctx, msg.Text)
	} else {
		err = x.startCommand(req.Type == "shell", msg.Text)
	}
	if err != nil {
		if !errors.Is(err, errUnknownSubsystem) {
			x.srv.opts.Metrics.failed.Inc()
		}
		x.log.Warn("session failed to start", "kind", req.Type, "err", err)
		if refused(err) {
			return false
		}
		x.wg.Add(1)
		x.ready = func() {
			go func() {
				defer x.wg.Done()
				x.unstarted(err)
			}()
		}
	}
	x.started = true
	return true
}

var errUnknownSubsystem = errors.New("unknown subsystem")

func (x *exchange) startSubsystem(ctx context.Context, name string) error {
	serve, ok := x.srv.opts.Subsystems[name]
	if !ok {
		return errUnknownSubsystem
	}
	x.srv.opts.Metrics.started("subsystem")
	x.wg.Add(1)
	x.ready = func() {
		go func() {
			defer x.wg.Done()
			x.runSubsystem(ctx, name, serve)
		}()
	}
	return nil
}

func (x *exchange) runSubsystem(ctx context.Context, name string, serve Subsystem) {
	err := contain(func() error {
		return serve(ctx, countingChannel{x.ch, x.srv.opts.Metrics, "subsystem"})
	})
	status := exitStatus{}
	if err != nil && ctx.Err() == nil {
		x.log.Warn("subsystem failed", "subsystem", name, "err", err)
		status.code = 1
	}
	x.srv.opts.Metrics.ended("subsystem", status)
	finish(x.ch, status)
}
