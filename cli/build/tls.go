package build

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"okteto/cli/ui"
	"okteto/internal/contract"
)

// TLS is how the builder of BUILDKIT_HOST is made sure of, and this client to it:
// buildctl's options of the same names. Files are PEM.
type TLS struct {
	// CACert has the authorities that may have signed the builder's certificate;
	// empty are the system's.
	CACert string
	// Cert and Key are the client's own.
	Cert, Key string
	// Dir has all three files, as ca.pem, cert.pem and key.pem, or as ca.crt,
	// tls.crt and tls.key.
	Dir string
	// ServerName is in the builder's certificate; empty is the address's host.
	ServerName string
}

func (t TLS) files() bool { return t.CACert != "" || t.Cert != "" || t.Key != "" }

// orEnvironment adds what the environment says and the options do not.
func (t TLS) orEnvironment() TLS {
	if !t.files() && t.Dir == "" {
		t.CACert, t.Cert, t.Key = os.Getenv(contract.EnvBuildkitCACert), os.Getenv(contract.EnvBuildkitCert), os.Getenv(contract.EnvBuildkitKey)
		t.Dir = os.Getenv(contract.EnvBuildkitTLSDir)
	}
	if t.ServerName == "" {
		t.ServerName = os.Getenv(contract.EnvBuildkitServerName)
	}
	return t
}

// config for a builder at host.
func (t TLS) config(host string) (*tls.Config, error) {
	if t.Dir != "" && t.files() {
		return nil, &ui.Problem{Summary: "the folder with the TLS files is named, and single ones too", Hint: "give either --tlsdir, or --tlscacert, --tlscert and --tlskey"}
	}
	if t.Dir != "" {
		var err error
		if t, err = t.inDir(); err != nil {
			return nil, &ui.Problem{Summary: "cannot use the TLS files in " + t.Dir, Cause: err, Hint: "it needs ca.pem, cert.pem and key.pem, or ca.crt, tls.crt and tls.key"}
		}
	}
	config := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}
	if config.ServerName == "" {
		config.ServerName = host
	}
	if t.CACert != "" {
		content, err := os.ReadFile(t.CACert)
		config.RootCAs = x509.NewCertPool()
		if err == nil && !config.RootCAs.AppendCertsFromPEM(content) {
			err = errors.New("it has no certificate in PEM")
		}
		if err != nil {
			return nil, &ui.Problem{Summary: "cannot use the authority's certificate " + t.CACert, Cause: err, Hint: "name a PEM file with --tlscacert"}
		}
	}
	if t.Cert != "" || t.Key != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, &ui.Problem{Summary: fmt.Sprintf("cannot use the client certificate %q with the key %q", t.Cert, t.Key), Cause: err, Hint: "name two PEM files that belong together, with --tlscert and --tlskey"}
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// inDir finds the files of Dir by the names that buildctl knows.
func (t TLS) inDir() (TLS, error) {
	for _, file := range []struct {
		to    *string
		names []string
	}{
		{&t.CACert, []string{"ca.pem", "ca.crt"}},
		{&t.Cert, []string{"cert.pem", "tls.crt"}},
		{&t.Key, []string{"key.pem", "tls.key"}},
	} {
		for _, name := range file.names {
			path := filepath.Join(t.Dir, name)
			_, err := os.Stat(path)
			if err == nil {
				*file.to = path
				break
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return t, err
			}
		}
		if *file.to == "" {
			return t, fmt.Errorf("there is neither %s nor %s", file.names[0], file.names[1])
		}
	}
	return t, nil
}

// handshakes remembers why the last connection failed: what gRPC tells is text.
type handshakes struct {
	mu   sync.Mutex // protects the following
	last error
}

func (h *handshakes) note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = err
}

func (h *handshakes) error() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// watchedConn notes why reading failed: in TLS 1.3, that is how a client learns
// that its certificate was refused (RFC 8446 4.4.2.4).
type watchedConn struct {
	net.Conn
	*handshakes
}

func (c watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.note(err)
	}
	return n, err
}

// tlsHint is what to do about a connection that failed, "" if TLS is not why.
func tlsHint(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var noTLS tls.RecordHeaderError
	var alert *net.OpError
	switch {
	case errors.As(err, &authority):
		return "its certificate is signed by another authority: name that one with --tlscacert, or BUILDKIT_TLS_CACERT"
	case errors.As(err, &name):
		return "name the host that its certificate is for with --tlsservername, or BUILDKIT_TLS_SERVERNAME"
	case errors.As(err, &invalid):
		return "the builder needs a certificate that is valid"
	case errors.As(err, &noTLS):
		return "it does not speak TLS: leave out the TLS options, and BUILDKIT_TLS_DIR and the like"
	case errors.As(err, &alert) && alert.Op == remoteError:
		return "it does not accept this client: name its certificate with --tlscert and --tlskey, or a folder with --tlsdir"
	}
	return ""
}

// remoteError is the operation of an error by which the other side ended a TLS
// connection (crypto/tls, Conn).
const remoteError = "remote error"
