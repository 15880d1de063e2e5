// Package sockets lists the TCP sockets of the container's network, as the kernel
// tells over sock_diag(7), or in /proc/net/tcp where netlink is not allowed.
package sockets

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// State of a socket, as the kernel numbers them (include/net/tcp_states.h).
type State uint8

// States of interest.
const (
	Established State = 1
	Listening   State = 10
)

// Socket is one end of a TCP connection, or a listener.
type Socket struct {
	Local, Remote netip.AddrPort
	// Inode identifies the socket in /proc/<pid>/fd; UID is its owner.
	Inode, UID uint32
	// Idle is the time since data was last received; 0 where it is not known.
	Idle time.Duration
}

// TCP lists the sockets in a state, of IPv4 and IPv6.
func TCP(state State) ([]Socket, error) {
	var all []Socket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := diagnose(family, state)
		if err != nil {
			return readProc("/proc", state)
		}
		all = append(all, sockets...)
	}
	return all, nil
}

// Listener finds the socket that listens on a port.
func Listener(port uint16) (Socket, bool, error) {
	all, err := TCP(Listening)
	if err != nil {
		return Socket{}, false, fmt.Errorf("look for a listener on port %d: %w", port, err)
	}
	for _, s := range all {
		if s.Local.Port() == port {
			return s, true, nil
		}
	}
	return Socket{}, false, nil
}
