// Package files serves SFTP (version 3, draft-ietf-secsh-filexfer-02) and the
// remote half of scp.
package files

import (
	"context"
	"io"
	"log/slog"

	"github.com/pkg/sftp"
	"github.com/prometheus/client_golang/prometheus"
)

// Options of the file services.
type Options struct {
	// WorkDir is what relative paths start from.
	WorkDir string
	Log     *slog.Logger
	Metrics *Metrics
}

// Metrics of SFTP.
type Metrics struct{ operations *prometheus.CounterVec }

// NewMetrics registers the metrics of SFTP, all series at zero.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{operations: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "okteto_remote_sftp_operations_total", Help: "SFTP requests, by operation.",
	}, []string{"operation"})}
	reg.MustRegister(m.operations)
	return m
}

// Server serves SFTP.
type Server struct{ opts Options }

// New returns an SFTP server.
func New(opts Options) *Server { return &Server{opts} }

// maxPacket is the data a read returns at most; OpenSSH's limit.
const maxPacket = 261120

// Serve serves one SFTP session until the client's EOF.
func (s *Server) Serve(_ context.Context, rw io.ReadWriter) error {
	srv, err := sftp.NewServer(keepOpen{rw}, sftp.WithAllocator(), sftp.WithMaxTxPacket(maxPacket),
		sftp.WithServerWorkingDirectory(s.opts.WorkDir))
	if err != nil {
		return err
	}
	return srv.Serve()
}

// keepOpen leaves closing to the session: the status comes before the close.
type keepOpen struct{ io.ReadWriter }

func (keepOpen) Close() error { return nil }
