//go:build e2e

package agents

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"

	"okteto/bin-image/original"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

func suffix() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails: crypto/rand
	return hex.EncodeToString(b)
}

// userKey is the kind of key that the CLI of the era makes.
func userKey(dir string, era original.Era) (identity.UserKey, error) {
	var private any
	var err error
	if era == original.H {
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		private, err = rsa.GenerateKey(rand.Reader, 4096)
	}
	if err != nil {
		return identity.UserKey{}, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return identity.UserKey{}, err
	}
	return identity.UserKey{Signer: signer, AuthorizedKey: ssh.MarshalAuthorizedKey(signer.PublicKey()), Path: dir}, nil
}

// connection is a port-forward with an SSH connection in it.
type connection struct {
	e    *environment
	port uint16
	stop chan struct{}
	ssh  *ssh.Client
	subs []io.Closer
}

// forward starts a port-forward to the SSH port.
func (e *environment) forward() (port uint16, stop chan struct{}, err error) {
	transport, upgrader, err := spdy.RoundTripperFor(e.Config)
	if err != nil {
		return 0, nil, err
	}
	url := e.Client.CoreV1().RESTClient().Post().Resource("pods").Namespace(e.namespace).Name(name).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	stop = make(chan struct{})
	ready := make(chan struct{})
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", contract.SSHPort)}, stop, ready, io.Discard, os.Stderr)
	if err != nil {
		return 0, nil, err
	}
	failed := make(chan error, 1)
	go func() { failed <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-failed:
		return 0, nil, err
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		close(stop)
		return 0, nil, err
	}
	return ports[0].Local, stop, nil
}

// connect as the CLI's pool does: no user name, the host key is not looked at,
// and a ping that must be answered.
func (e *environment) connect() *connection {
	e.Helper()
	port, stop, err := e.forward()
	if err != nil {
		e.Fatalf("port-forward: %v", err)
	}
	c := &connection{e: e, port: port, stop: stop}
	if c.ssh, err = c.dial(); err != nil {
		close(stop)
		e.Fatalf("SSH: %v", err)
	}
	for _, request := range []string{contract.PingRequest, contract.KeepaliveRequest, "keepalive@openssh.com"} {
		if _, _, err := c.ssh.SendRequest(request, true, []byte("pong")); err != nil {
			e.Errorf("global request %s: %v", request, err)
		}
	}
	return c
}

func (c *connection) dial() (*ssh.Client, error) {
	return ssh.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", c.port), &ssh.ClientConfig{
		User: "", Auth: []ssh.AuthMethod{ssh.PublicKeys(c.e.user.Signer)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // as the original does
	})
}

func (c *connection) close() {
	for _, s := range c.subs {
		s.Close()
	}
	c.ssh.Close()
	close(c.stop)
}

// listen forwards a local port to a port of the pod's loopback, through the
// pooled connection and by the address that the CLI uses.
func (c *connection) listen(remote int) string {
	c.e.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.e.Fatal(err)
	}
	c.subs = append(c.subs, listener)
	go func() {
		for {
			local, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer local.Close()
				far, err := c.ssh.Dial("tcp", fmt.Sprintf("0.0.0.0:%d", remote))
				if err != nil {
					return
				}
				defer far.Close()
				go func() { _, _ = io.Copy(far, local); far.Close() }()
				_, _ = io.Copy(local, far)
			}()
		}
	}()
	return listener.Addr().String()
}

// run a command as the CLI does: a connection of its own, always a terminal with
// the modes that it always sends, and a command line quoted by the CLI.
func (c *connection) run(command string) (output string, code int) {
	c.e.Helper()
	client, err := c.dial()
	if err != nil {
		c.e.Fatal(err)
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		c.e.Fatal(err)
	}
	defer session.Close()
	modes := ssh.TerminalModes{ssh.ECHO: 0, ssh.ECHOCTL: 0, ssh.IGNCR: 1}
	if err := session.RequestPty("xterm-256color", 80, 40, modes); err != nil {
		c.e.Fatal(err)
	}
	out, err := session.Output(command)
	return strings.TrimSpace(string(out)), exitCode(err)
}

func exitCode(err error) int {
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitStatus()
	default:
		return -1
	}
}
