package terminal

import "io"

// counter counts what has been written.
type counter struct {
	to io.Writer // nil takes nothing, as with ssh.Session
	n  int64
}

func (c *counter) Write(p []byte) (n int, err error) {
	if n = len(p); c.to != nil {
		n, err = c.to.Write(p)
	}
	c.n += int64(n)
	return n, err
}
