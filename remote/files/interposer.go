package files

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"sync"
)

// interposer stands between the client and pkg/sftp. Requests that the library
// does not know, or serves otherwise than OpenSSH does, are answered here; all
// others pass through untouched. It is the library's connection: Read hands
// over requests, Write takes responses.
//
// A request answered here waits until the library has answered all that came
// before it, so that fsync or copy-data see the writes that were sent first.
type interposer struct {
	srv *Server
	ctx context.Context
	in  *bufio.Reader
	// maxOpen bounds the open files and folders.
	maxOpen int

	passing int // bytes of the current request still to hand over
	failed  error

	wmu sync.Mutex // serializes packets to the client
	out io.Writer

	// Of the library's current response: bytes still to come, and its start
	// until it is sent. Used by the library's one sender only.
	missing int
	start   []byte

	mu          sync.Mutex // protects the following
	drained     *sync.Cond
	outstanding int
	closed      bool
	opening     map[uint32]opening // by request id
	handles     *handles
}

func newInterposer(ctx context.Context, srv *Server, rw io.ReadWriter) *interposer {
	p := &interposer{
		srv: srv, ctx: ctx, in: bufio.NewReaderSize(rw, 64<<10), out: rw,
		opening: make(map[uint32]opening), handles: newHandles(), maxOpen: maxOpen(),
	}
	p.drained = sync.NewCond(&p.mu)
	return p
}

// Close is called by the library; the channel stays open for the status.
func (p *interposer) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drained.Broadcast()
	return nil
}

// end frees what the session has left open.
func (p *interposer) end() {
	_ = p.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handles.closeAll()
}

const (
	// headSize is enough of a request to decide on it: length, type, id.
	headSize = 9
	// maxHead is enough to see the path or handle of a request, which are short;
	// what does not fit passes unseen.
	maxHead = 8 << 10
)

// Read hands the next bytes of requests to the library.
func (p *interposer) Read(b []byte) (int, error) {
	for p.passing == 0 {
		if p.failed != nil {
			return 0, p.failed
		}
		if err := p.next(); err != nil {
			p.failed = err
		}
	}
	n, err := p.in.Read(b[:min(len(b), p.passing)])
	p.passing -= n
	if err == io.EOF && p.passing > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next answers requests until one is for the library.
func (p *interposer) next() error {
	head, err := p.in.Peek(5)
	if err != nil {
		if err == io.EOF && len(head) > 0 {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	size := int(binary.BigEndian.Uint32(head))
	typ := head[4]
	if size < 1 || size > maxMessage {
		return errBadMessage
	}
	p.srv.opts.Metrics.count(typ)
	if serve := p.handler(typ, size); serve != nil {
		body := make([]byte, 4+size)
		if _, err := io.ReadFull(p.in, body); err != nil {
			return err
		}
		return p.answer(typ, body[5:], serve)
	}
	if size < headSize-4 {
		return errBadMessage
	}
	if err := p.note(typ, size); err != nil {
		return err
	}
	p.passing = 4 + size
	return nil
}

// note keeps track of a request that passes.
func (p *interposer) note(typ byte, size int) error {
	var packet []byte
	if typ == typeOpen || typ == typeClose {
		var err error
		if packet, err = p.in.Peek(4 + min(size, maxHead)); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outstanding++
	if packet == nil {
		return nil
	}
	r := reader{b: packet[5:]}
	id, name := r.uint32(), r.string()
	switch {
	case r.bad:
	case typ == typeOpen:
		flags := r.uint32()
		if !r.bad && flags&(openRead|openWrite) == 0 {
			// pkg/sftp refuses this, OpenSSH opens to read. What is peeked at is
			// the reader's own buffer.
			packet[len(packet)-len(r.b)-1] |= openRead
		}
		p.opening[id] = opening{p.srv.path(name), flags}
	default:
		p.handles.close(name)
	}
	return nil
}

// answer serves one request here.
func (p *interposer) answer(typ byte, body []byte, serve handlerFunc) error {
	p.wait()
	if typ == typeInit {
		return p.send(versionPacket())
	}
	r := &reader{b: body}
	id := r.uint32()
	if typ == typeExtended {
		_ = r.string() // the name, by which serve was chosen
	}
	reply := serve(p, id, r)
	if r.bad {
		reply = statusPacket(id, errBadMessage)
	}
	return p.send(reply.seal())
}

// wait until the library has answered everything.
func (p *interposer) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.outstanding > 0 && !p.closed {
		p.drained.Wait()
	}
}

func (p *interposer) send(b []byte) error {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	_, err := p.out.Write(b)
	return err
}

// Write takes the library's responses: a header and its payload come in
// separate calls. They leave in full SSH packets.
func (p *interposer) Write(b []byte) (int, error) {
	if p.missing == 0 {
		if len(b) < 5 {
			return 0, errBadMessage
		}
		p.missing = 4 + int(binary.BigEndian.Uint32(b))
		p.start = p.start[:0]
	}
	p.missing -= len(b)
	total := len(b)
	if room := sshPacket - len(p.start); room > 0 {
		n := min(room, len(b))
		p.start = append(p.start, b[:n]...)
		b = b[n:]
	}
	if p.missing > 0 && len(b) == 0 {
		return total, nil
	}
	err := p.forward(b, p.missing <= 0)
	return total, err
}

// sshPacket is the most that one SSH packet carries.
const sshPacket = 32 << 10

// forward sends the start of a response, if it has not left yet, and rest.
func (p *interposer) forward(rest []byte, complete bool) error {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	if complete {
		defer p.done()
	}
	if complete && len(p.start) >= headSize {
		p.learn(p.start)
	}
	start := p.start
	p.start = p.start[:0]
	if len(start) > 0 {
		if _, err := p.out.Write(start); err != nil {
			return err
		}
	}
	if len(rest) == 0 {
		return nil
	}
	_, err := p.out.Write(rest)
	return err
}

// learn sees which handle belongs to which file.
func (p *interposer) learn(response []byte) {
	r := reader{b: response[5:]}
	id := r.uint32()
	p.mu.Lock()
	defer p.mu.Unlock()
	o, ok := p.opening[id]
	if !ok {
		return
	}
	delete(p.opening, id)
	if response[4] == typeHandle {
		if h := r.string(); !r.bad {
			p.handles.open(h, o)
		}
	}
}

func (p *interposer) done() {
	p.mu.Lock()
	p.outstanding--
	empty := p.outstanding == 0
	p.mu.Unlock()
	if empty {
		p.drained.Broadcast()
	}
}
