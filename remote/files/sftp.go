// Package files serves SFTP (version 3, draft-ietf-secsh-filexfer-02, with
// OpenSSH's extensions) and the remote half of scp.
//
// github.com/pkg/sftp does the bulk of SFTP. An interposer in front of it adds
// the extensions it lacks and corrects what it does otherwise than OpenSSH's
// server, which is what clients expect: see handlers.go.
package files

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/pkg/sftp"
)

// Options of the file services.
type Options struct {
	// WorkDir is what relative paths start from.
	WorkDir string
	Log     *slog.Logger
	Metrics *Metrics
}

// Server serves SFTP.
type Server struct{ opts Options }

// New returns an SFTP server.
func New(opts Options) *Server { return &Server{opts} }

// maxData is the most that one read or write carries; OpenSSH's limit.
const maxData = 261120

// Serve serves one SFTP session until the client's EOF.
func (s *Server) Serve(ctx context.Context, rw io.ReadWriter) error {
	p := newInterposer(ctx, s, rw)
	defer p.end()
	srv, err := sftp.NewServer(p, sftp.WithAllocator(), sftp.WithMaxTxPacket(maxData),
		sftp.WithServerWorkingDirectory(s.opts.WorkDir))
	if err != nil {
		return err
	}
	err = srv.Serve()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// path is where a client's path leads. What the kernel makes of its dots and
// slashes is left to it; an empty one leads nowhere.
func (s *Server) path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return strings.TrimSuffix(s.opts.WorkDir, "/") + "/" + name
}
