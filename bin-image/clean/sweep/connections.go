package sweep

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"okteto/bin-image/sockets"
)

// silence after which a connection is no longer taken for alive. The SSH server
// looks every 15 s and asks a client that was silent since the last look, so an
// idle client that is there is heard of every 30 s. A laptop that sleeps, or a
// link that swallows everything, is not, while the connection into the pod still
// stands; and no CLI starts anew before 40 s without an answer.
const silence = 35 * time.Second

// connections are the established TCP connections that live, by the server's
// address and the client's.
type connections map[[2]netip.AddrPort]bool

// liveConnections asks the kernel.
func liveConnections() connections {
	live := connections{}
	all, err := sockets.TCP(sockets.Established)
	if err != nil {
		return live
	}
	for _, s := range all {
		if s.Idle <= silence {
			live[[2]netip.AddrPort{s.Local, s.Remote}] = true
		}
	}
	return live
}

// has says that the connection of an SSH_CONNECTION variable lives:
// "client-address client-port server-address server-port".
func (c connections) has(variable string) bool {
	f := strings.Fields(variable)
	if len(f) != 4 {
		return false
	}
	client, ok1 := endpoint(f[0], f[1])
	server, ok2 := endpoint(f[2], f[3])
	return ok1 && ok2 && c[[2]netip.AddrPort{server, client}]
}

func endpoint(address, port string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.AddrPort{}, false
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), true
}
