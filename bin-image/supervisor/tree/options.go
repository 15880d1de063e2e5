// Package tree assembles the supervisor: the services of a dev container and
// what watches them.
package tree

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"okteto/internal/contract"
)

// Options of the supervisor. The zero value of a path or address means the
// contract's.
type Options struct {
	// Remote also runs the SSH server.
	Remote bool
	// Reset drops Syncthing's database before its first start.
	Reset bool
	// Verbose logs at debug level.
	Verbose bool

	// Environ is the container's environment, which sessions get.
	Environ []string
	// BinDir holds the agents; by default the directory of this executable.
	BinDir string
	// SyncthingHome holds config.xml, cert.pem and key.pem, SecretDir the copies
	// to fall back on, DataDir the database.
	SyncthingHome, SecretDir, DataDir string
	// RemoteDir is the SSH server's state. KeysSecret is the file of the Secret
	// that its authorized keys are a copy of.
	RemoteDir, KeysSecret string
	// RemoteMetricsSocket is where the SSH server serves its metrics.
	RemoteMetricsSocket string
	// SyncthingAddress is host:port of Syncthing's REST interface, SSHAddress
	// that of the SSH server.
	SyncthingAddress, SSHAddress string
	// MetricsAddress is host:port, or "off".
	MetricsAddress string
	// Grace for the services to end on TERM.
	Grace time.Duration
	// Log receives the structured lines; by default standard output, where
	// start.sh has written its own first line.
	Log io.Writer
}

// metricsOff is the value of MetricsAddress that turns the listener off.
const metricsOff = "off"

// FromEnvironment fills what the environment decides.
func (o *Options) FromEnvironment(getenv func(string) string) {
	port := getenv(contract.EnvRemotePort)
	if port == "" {
		port = strconv.Itoa(contract.SSHPort)
	}
	host := getenv(contract.EnvRemoteAddress)
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	o.SSHAddress = net.JoinHostPort(host, port)
	o.MetricsAddress = getenv(contract.EnvMetricsAddress)
}

// Validate fills the defaults and says what is wrong.
func (o *Options) Validate() error {
	if o.BinDir == "" {
		executable, err := os.Executable()
		if err != nil { // without /proc the way it was started has to do
			executable = os.Args[0]
		}
		o.BinDir = filepath.Dir(executable)
	}
	for _, d := range []struct {
		value *string
		usual string
	}{
		{&o.SyncthingHome, contract.SyncthingHome},
		{&o.SecretDir, contract.SyncthingSecretDir},
		{&o.DataDir, contract.SyncthingDataDir},
		{&o.RemoteDir, contract.RemoteDir},
		{&o.KeysSecret, filepath.Join(contract.SecretDir, filepath.Base(contract.AuthorizedKeys))},
		{&o.RemoteMetricsSocket, contract.RemoteMetricsSocket},
		{&o.SyncthingAddress, net.JoinHostPort("127.0.0.1", strconv.Itoa(contract.SyncthingGUIPort))},
		{&o.SSHAddress, net.JoinHostPort("127.0.0.1", strconv.Itoa(contract.SSHPort))},
		{&o.MetricsAddress, net.JoinHostPort("", strconv.Itoa(contract.MetricsPort))},
	} {
		if *d.value == "" {
			*d.value = d.usual
		}
	}
	if o.MetricsAddress != metricsOff {
		if err := validAddress(o.MetricsAddress); err != nil {
			return fmt.Errorf("%s: %w; use host:port, :port or %q", contract.EnvMetricsAddress, err, metricsOff)
		}
	}
	if err := validAddress(o.SSHAddress); err != nil {
		return fmt.Errorf("%s: %w; use a number above 1024", contract.EnvRemotePort, err)
	}
	if o.Grace == 0 {
		o.Grace = 4 * time.Second
	}
	if o.Log == nil {
		o.Log = os.Stdout
	}
	return nil
}

func validAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q is not a port", port)
	}
	return nil
}
