package tunnel

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/streaming/pkg/httpstream"
)

// conn is one forwarded connection. Close ends it and its port-forward.
type conn struct {
	raw  *rawConn
	data httpstream.Stream

	// refused is closed when the error stream has ended; reason is set before.
	refused chan struct{}
	reason  error

	closing sync.Once
}

func (c *conn) readReason(stream httpstream.Stream) {
	defer close(c.refused)
	text, err := io.ReadAll(io.LimitReader(stream, 64<<10))
	if err == nil && len(text) > 0 {
		c.reason = &RefusedError{Reason: strings.TrimSpace(string(text))}
		// Nothing more comes, and a reader must not wait for it.
		_ = c.Close()
	}
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.data.Read(p)
	if err == nil || n > 0 {
		return n, nil
	}
	timer := time.NewTimer(refusalWait)
	defer timer.Stop()
	select {
	case <-c.refused:
		if c.reason != nil {
			return 0, c.reason
		}
	case <-timer.C:
	}
	return 0, err
}

func (c *conn) Write(p []byte) (int, error) { return c.data.Write(p) }

// CloseWrite ends one direction; the other goes on.
func (c *conn) CloseWrite() error { return c.data.Close() }

func (c *conn) Close() error {
	var err error
	c.closing.Do(func() { err = c.raw.close() })
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (c *conn) LocalAddr() net.Addr  { return c.raw.network.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr { return c.raw.network.RemoteAddr() }

// Streams have no deadlines of their own, and the network connection's belong to
// the protocol: callers that want to give up close the connection.
func (c *conn) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (c *conn) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (c *conn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// decodeStatus returns the API server's error in body, or nil if there is none.
func decodeStatus(body []byte) error {
	var status metav1.Status
	if json.Unmarshal(body, &status) != nil || status.Kind != "Status" || status.Status != metav1.StatusFailure {
		return nil
	}
	return apierrors.FromObject(runtime.Object(&status))
}
