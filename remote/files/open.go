package files

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// refusal is why a file or folder cannot be opened, as far as pkg/sftp answers
// otherwise than OpenSSH. A name below a file, or in a loop of links, is one that
// does not exist. To open a named pipe would block until somebody opens its other
// end, while no offset could be read from it.
func (p *interposer) refusal(typ byte, size int) error {
	name, ok := p.peekName(min(size, maxHead))
	if !ok {
		return nil
	}
	st, err := os.Stat(p.srv.path(name))
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return err
	case err != nil:
		return nil
	case typ == typeOpendir && !st.IsDir():
		return unix.ENOTDIR
	case typ == typeOpen && st.Mode()&os.ModeNamedPipe != 0:
		return errPipe
	}
	return nil
}

var errPipe = errors.New("named pipes cannot be transferred")

// peekName returns the path or handle with which the current request begins, if it
// is in the first size bytes.
func (p *interposer) peekName(size int) (string, bool) {
	head, err := p.in.Peek(4 + size)
	if err != nil {
		return "", false
	}
	r := reader{b: head[5:]}
	_, name := r.uint32(), r.string()
	return name, !r.bad
}

// handleOf returns what is known of the handle of the current request.
func (p *interposer) handleOf(size int) handle {
	const enough = 64 // pkg/sftp's handles are numbers
	name, ok := p.peekName(min(size, enough))
	if !ok {
		return handle{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.handles.all[name]
}

// appendData writes to a file that was opened to append: wherever its end is now.
// The offset does not count, and clients leave it at 0.
func (p *interposer) appendData(id uint32, r *reader) packet {
	name, _, data := r.string(), r.uint64(), r.string()
	if r.bad {
		return nil
	}
	f, err := p.reopen(name, os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return statusPacket(id, err)
	}
	defer f.Close()
	_, err = f.WriteString(data)
	return statusPacket(id, err)
}
