package up

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"golang.org/x/crypto/ssh"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"okteto/cli/forward"
	"okteto/cli/sshconfig"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

// services resolves the forwards that name a service by its labels, by their
// position in the manifest.
func (u *up) services(ctx context.Context) (map[int]string, error) {
	names := make(map[int]string)
	for i, f := range u.target.Dev.Forward {
		if len(f.Labels) == 0 {
			continue
		}
		selector := labels.SelectorFromSet(f.Labels).String()
		list, err := u.target.Client.CoreV1().Services(u.target.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return nil, u.Target.Client.Explain(err, "list services")
		}
		if len(list.Items) != 1 {
			return nil, &ui.Problem{
				Summary: fmt.Sprintf("%d services have the labels %s, and the forward of port %d needs one", len(list.Items), selector, f.LocalPort),
				Hint:    "correct the labels, or name the service: " + fmt.Sprintf("%d:SERVICE:%d", f.LocalPort, f.RemotePort),
			}
		}
		names[i] = list.Items[0].Name
	}
	return names, nil
}

// openPorts opens everything that listens on the laptop. It comes before any
// change in the cluster, so that a port that is taken changes nothing.
func (u *up) openPorts(ctx context.Context, f *found) error {
	dev := u.target.Dev
	if err := u.openSSH(); err != nil {
		return err
	}
	for i, spec := range dev.Forward {
		host := spec.Service
		if name, ok := f.services[i]; ok {
			host = name
		}
		local := forward.Local{Bind: dev.Interface, Port: spec.LocalPort, Host: host, RemotePort: spec.RemotePort}
		if _, err := u.ports.Listen(local); err != nil {
			return portProblem(err)
		}
		u.info.Forwards = append(u.info.Forwards, local.String())
	}
	for _, spec := range u.Target.Manifest.Forward {
		local := forward.Local{Bind: dev.Interface, Port: spec.LocalPort, Host: spec.Service, RemotePort: spec.RemotePort}
		if _, err := u.ports.Listen(local); err != nil {
			// The `up` of another environment of this manifest may have it.
			u.Report.Warn("Not forwarding %s: %v", local, err)
			continue
		}
		u.info.Forwards = append(u.info.Forwards, local.String())
	}
	for _, spec := range dev.Reverse {
		reverse := forward.Reverse{RemotePort: spec.RemotePort, LocalPort: spec.LocalPort}
		u.info.Reverses = append(u.info.Reverses, reverse.String())
		u.ports.Reverse(reverse, func(err error) {
			if err != nil {
				u.Report.Warn("Reverse forward %s does not work yet: %v", reverse, err)
			}
		})
	}
	return u.sync.openPorts()
}

// openSSH opens the port for SSH clients. It stays the same from one `up` to the
// next where that can be, so that an editor that is connected finds it again.
func (u *up) openSSH() error {
	dev := u.target.Dev
	port := dev.Remote
	open := func(ctx context.Context) (net.Conn, error) {
		if _, err := u.link.Interactive(ctx); err != nil { // waits for a pod that answers
			return nil, err
		}
		return u.dialPod(ctx)
	}
	if port == 0 {
		if last, ok := sshconfig.Port(u.env.Home, u.env.Name); ok {
			if got, err := u.ports.ListenTo(dev.Interface, last, open); err == nil {
				u.info.SSHPort = got
				return nil
			}
		}
	}
	got, err := u.ports.ListenTo(dev.Interface, port, open)
	if err != nil {
		return portProblem(err)
	}
	u.info.SSHPort = got
	return nil
}

func portProblem(err error) error {
	var taken *forward.PortError
	if !errors.As(err, &taken) {
		return err
	}
	return &ui.Problem{Summary: "cannot " + taken.Error(), Hint: taken.Hint()}
}

// writeSSHConfig lets `ssh <name>.okteto` and editors find the environment.
func (u *up) writeSSHConfig() {
	host := u.env.Name + contract.SSHHostSuffix
	line := host + " " + string(ssh.MarshalAuthorizedKey(u.keys.credentials.HostKey))
	entry := sshconfig.Entry{
		Name: u.env.Name, HostName: sshHostName(u.target.Dev.Interface), Port: u.info.SSHPort,
		IdentityFile: u.keys.user.Path, KnownHosts: u.env.Path(contract.KnownHostsFile),
	}
	err := sshconfig.WriteKnownHosts(entry.KnownHosts, line)
	if err == nil {
		err = sshconfig.Add(u.env.Home, entry)
	}
	if err != nil {
		u.Report.Warn("Cannot write the SSH configuration: %v", err)
		return
	}
	u.info.SSHHost = host
}

func sshHostName(bind string) string {
	switch bind {
	case "", forward.Localhost, "0.0.0.0", "::":
		return "localhost"
	}
	return bind
}

// listenBulk opens a port of the laptop that leads to one of the pod's through
// the connection for bulk data, and returns host:port.
func (u *up) listenBulk(remote int, connect forward.Connect) (string, error) {
	destination := net.JoinHostPort("127.0.0.1", strconv.Itoa(remote))
	port, err := u.ports.ListenTo("127.0.0.1", 0, func(ctx context.Context) (net.Conn, error) {
		client, err := connect(ctx)
		if err != nil {
			return nil, err
		}
		return client.DialContext(ctx, "tcp", destination)
	})
	if err != nil {
		return "", portProblem(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), nil
}
