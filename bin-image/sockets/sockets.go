// Package sockets lists the TCP sockets of the container's network, as the kernel
// tells over sock_diag(7), or in /proc/net/tcp where netlink is not allowed.
package sockets

import (
	"fmt"
	"net/netip"
	"slices"
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

// Listeners finds the sockets that listen where address does, or would: on its port,
// at the same address or one of the two at all. Others of the port, as on the pod's
// own address beside loopback, are in nobody's way.
func Listeners(address netip.AddrPort) ([]Socket, error) {
	all, err := TCP(Listening)
	if err != nil {
		return nil, fmt.Errorf("look for a listener on %s: %w", address, err)
	}
	return slices.DeleteFunc(all, func(s Socket) bool {
		if s.Local.Port() != address.Port() {
			return true
		}
		here, there := s.Local.Addr().Unmap(), address.Addr().Unmap()
		return here != there && !here.IsUnspecified() && !there.IsUnspecified()
	}), nil
}
