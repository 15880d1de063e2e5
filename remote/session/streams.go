package session

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"okteto/remote/quickio"
)

// chunk is the most that one SSH packet carries (RFC 4253 section 6.1).
const chunk = 32 << 10

// lastInputTime is how long what a client has sent before it left may take to
// reach its program.
const lastInputTime = 2 * time.Second

// startCommand starts a command or shell, or reattaches to a named terminal.
func (x *exchange) startCommand(isShell bool, text string) error {
	if x.terminal != "" && x.pty != nil {
		attached, err := x.startTerminal(isShell, text)
		if attached || err != nil {
			return err
		}
	}
	p, err := x.spawn(isShell, text)
	if err != nil {
		return err
	}
	x.target = p
	x.wg.Add(1)
	x.ready = func() {
		go func() {
			defer x.wg.Done()
			x.run(p)
		}()
	}
	return nil
}

func (x *exchange) spawn(isShell bool, text string) (*process, error) {
	cmd, sh, acct, err := x.command(isShell, text)
	if err != nil {
		return nil, err
	}
	kind := "exec"
	if isShell {
		kind = "shell"
	}
	if x.pty != nil {
		kind = "pty-" + kind
	}
	return x.srv.start(kind, cmd, x.pty, func(tty string) []string {
		return x.environment(acct, sh, tty)
	})
}

// run carries a program's streams and ends the channel. It is the whole life
// of a session from top to bottom.
func (x *exchange) run(p *process) {
	in := x.srv.opts.Metrics.bytes.WithLabelValues("in", p.kind)
	out := x.srv.opts.Metrics.bytes.WithLabelValues("out", p.kind)
	count := func(n int) { out.Add(float64(n)) }
	if p.notice != "" {
		x.tell(p.notice)
	}
	var pumps []*pump
	if p.master != nil {
		pumps = []*pump{x.pump(p, p.master, x.ch, count)}
	} else {
		pumps = []*pump{x.pump(p, p.stdout, x.ch, count), x.pump(p, p.stderr, x.ch.Stderr(), count)}
	}
	x.wg.Add(1)
	go func() {
		defer x.wg.Done()
		dst := io.Writer(p.stdin)
		if p.master != nil {
			dst = quickio.New(p.master)
		}
		midLine := x.feed(dst, func(n int) { in.Add(float64(n)) })
		x.endInput(p, midLine)
	}()

	select {
	case <-p.exited:
		for _, pm := range pumps {
			pm.expectEnd()
		}
		for _, pm := range pumps {
			select {
			case <-pm.delivered:
			case <-x.gone:
			}
		}
		report(x.ch, p)
	case <-x.gone:
	}
	<-x.gone // also after our close: wait for the client's

	if p.stdin != nil {
		// A child of the program may hold its input and not read it.
		_ = p.stdin.SetWriteDeadline(time.Now().Add(lastInputTime))
	}
	// What still holds the program's output keeps it: a server started with
	// nohup must not die of SIGPIPE. A terminal ends with its client: closing
	// the master hangs up its session leader and foreground job, and a second
	// HUP from here would meet a shell that is handling the first.
	if p.master != nil {
		_ = p.master.Close()
	} else {
		p.hangup()
	}
}

// feed carries the client's input to the program, and reports whether it ended in
// the middle of a line.
func (x *exchange) feed(dst io.Writer, count func(int)) (midLine bool) {
	buf := make([]byte, chunk)
	broken := false
	for {
		n, err := x.ch.Read(buf)
		if n > 0 && !broken {
			count(n)
			midLine = buf[n-1] != '\n' && buf[n-1] != '\r'
			if _, werr := dst.Write(buf[:n]); werr != nil {
				// The program reads no more. Swallow the rest, or the
				// client would wait for window that never comes.
				broken = true
			}
		}
		if err != nil {
			return midLine
		}
	}
}

// endInput passes the client's EOF on: to a terminal as its end-of-file character.
func (x *exchange) endInput(p *process, midLine bool) {
	if p.master == nil {
		_ = p.stdin.Close()
		return
	}
	// The library reports the loss of a connection as an EOF too, a moment
	// before the channel's end is known.
	select {
	case <-x.gone:
	case <-p.exited:
	case <-time.After(lostWait):
		_, _ = p.master.Write(endOfFile(p.master, midLine))
	}
}

// pump carries one of a program's outputs to the client.
type pump struct {
	src     *os.File
	silence time.Duration
	// ended tells that the program is gone, so that silence means the end.
	ended atomic.Bool
	// delivered is closed when nothing more will be sent to the client.
	delivered chan struct{}
	once      sync.Once
}

func (x *exchange) pump(p *process, src *os.File, dst io.Writer, count func(int)) *pump {
	pm := &pump{src: src, silence: x.srv.opts.Silence, delivered: make(chan struct{})}
	x.srv.hold(src)
	go func() {
		defer x.srv.release(src)
		defer pm.done()
		pm.run(dst, count)
	}()
	return pm
}

func (pm *pump) done() { pm.once.Do(func() { close(pm.delivered) }) }

// expectEnd is called after the program has ended.
func (pm *pump) expectEnd() {
	pm.ended.Store(true)
	_ = pm.src.SetReadDeadline(time.Now().Add(pm.silence))
}

// run reads until everybody has closed the output. Once the client takes no
// more, or the program has ended and whoever else holds its output was silent
// for a while, it goes on reading for the holder's sake, to nowhere.
func (pm *pump) run(dst io.Writer, count func(int)) {
	buf := make([]byte, chunk)
	src := quickio.New(pm.src)
	for {
		if pm.ended.Load() {
			_ = pm.src.SetReadDeadline(time.Now().Add(pm.silence))
		}
		n, err := src.Read(buf)
		if n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				break
			}
			count(n)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil { // EOF, EIO of a terminal whose last user has left, closed by us
			return
		}
	}
	pm.done()
	pm.discard()
}

// discard reads and drops with a small buffer: it may last for days.
func (pm *pump) discard() {
	buf := make([]byte, 4<<10)
	for {
		_ = pm.src.SetReadDeadline(time.Time{})
		if _, err := pm.src.Read(buf); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}
