package sweep

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// silence after which a connection is no longer taken for alive. The SSH server
// looks every 15 s and asks a client that was silent since the last look, so an
// idle client that is there is heard of every 30 s. A laptop that sleeps, or a
// link that swallows everything, is not, while the connection into the pod still
// stands; and no CLI starts anew before 40 s without an answer.
const silence = 35 * time.Second

// connections are the established TCP connections that live, by the addresses
// of their two ends.
type connections map[[2]netip.AddrPort]bool

// has says that the connection of an SSH_CONNECTION variable lives:
// "client-address client-port server-address server-port".
func (c connections) has(variable string) bool {
	var client, server netip.AddrPort
	f := strings.Fields(variable)
	if len(f) != 4 {
		return false
	}
	for i, end := range []*netip.AddrPort{&client, &server} {
		address, err := netip.ParseAddr(f[2*i])
		if err != nil {
			return false
		}
		var port uint16
		if _, err := fmt.Sscanf(f[2*i+1], "%d", &port); err != nil {
			return false
		}
		*end = netip.AddrPortFrom(address.Unmap(), port)
	}
	// Seen from the server's socket.
	return c[[2]netip.AddrPort{server, client}]
}

// liveConnections asks the kernel: sock_diag(7) for the time of the last data,
// or /proc/net/tcp, which does not know it, where netlink is not allowed.
func liveConnections() connections {
	live := connections{}
	asked := true
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if err := diagnose(family, live); err != nil {
			asked = false
		}
	}
	if !asked {
		established(live)
	}
	return live
}

// inetDiagRequest is struct inet_diag_req_v2 of the kernel's linux/inet_diag.h.
type inetDiagRequest struct {
	Family, Protocol, Extensions, _ uint8
	States                          uint32
	ID                              inetDiagID
}

// inetDiagID is struct inet_diag_sockid; ports and addresses in network order.
type inetDiagID struct {
	SourcePort, DestinationPort [2]byte
	Source, Destination         [16]byte
	Interface                   uint32
	Cookie                      [2]uint32
}

// inetDiagMessage is struct inet_diag_msg; attributes follow it.
type inetDiagMessage struct {
	Family, State, Timer, Retransmits        uint8
	ID                                       inetDiagID
	Expires, ReadQueue, WriteQueue, UID, Ino uint32
}

const (
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY, linux/sock_diag.h
	inetDiagInfo     = 2  // INET_DIAG_INFO: struct tcp_info
	stateEstablished = 1  // TCP_ESTABLISHED, net/tcp_states.h
)

// diagnose adds the living connections of one address family.
func diagnose(family uint8, live connections) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return fmt.Errorf("open sock_diag: %w", err)
	}
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(int64(time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return fmt.Errorf("set up sock_diag: %w", err)
	}
	request := inetDiagRequest{Family: family, Protocol: unix.IPPROTO_TCP, Extensions: 1 << (inetDiagInfo - 1), States: 1 << stateEstablished}
	body := unsafe.Slice((*byte)(unsafe.Pointer(&request)), unsafe.Sizeof(request))
	header := unix.NlMsghdr{
		Len: uint32(unix.SizeofNlMsghdr + len(body)), Type: sockDiagByFamily,
		Flags: unix.NLM_F_REQUEST | unix.NLM_F_DUMP,
	}
	message := append(append([]byte{}, unsafe.Slice((*byte)(unsafe.Pointer(&header)), unix.SizeofNlMsghdr)...), body...)
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask sock_diag: %w", err)
	}
	buffer := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if err != nil {
			return fmt.Errorf("read sock_diag: %w", err)
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return fmt.Errorf("read sock_diag: %w", err)
		}
		for _, m := range messages {
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				return nil
			case unix.NLMSG_ERROR:
				return fmt.Errorf("ask sock_diag: %w", syscall.EOPNOTSUPP)
			case sockDiagByFamily:
				live.add(m.Data)
			}
		}
	}
}

// add one answer, if the connection has not been silent for too long.
func (c connections) add(data []byte) {
	size := int(unsafe.Sizeof(inetDiagMessage{}))
	if len(data) < size {
		return
	}
	m := *(*inetDiagMessage)(unsafe.Pointer(&data[0]))
	for attrs := data[size:]; len(attrs) >= unix.SizeofRtAttr; {
		length := int(binary.NativeEndian.Uint16(attrs))
		if length < unix.SizeofRtAttr || length > len(attrs) {
			return
		}
		value := attrs[unix.SizeofRtAttr:length]
		const lastData = unsafe.Offsetof(unix.TCPInfo{}.Last_data_recv)
		if binary.NativeEndian.Uint16(attrs[2:]) == inetDiagInfo && len(value) >= int(lastData)+4 {
			idle := time.Duration(binary.NativeEndian.Uint32(value[lastData:])) * time.Millisecond
			if idle <= silence {
				c[[2]netip.AddrPort{
					m.ID.end(m.Family, m.ID.Source, m.ID.SourcePort),
					m.ID.end(m.Family, m.ID.Destination, m.ID.DestinationPort),
				}] = true
			}
		}
		attrs = attrs[min(len(attrs), (length+3)&^3):]
	}
}

func (inetDiagID) end(family uint8, address [16]byte, port [2]byte) netip.AddrPort {
	ip := netip.AddrFrom16(address)
	if family == unix.AF_INET {
		ip = netip.AddrFrom4([4]byte(address[:4]))
	}
	return netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(port[:]))
}

// established adds all established connections that /proc shows.
func established(live connections) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return
	}
	v4, _ := fs.NetTCP()
	v6, _ := fs.NetTCP6()
	for _, line := range append(v4, v6...) {
		local, ok1 := netip.AddrFromSlice(line.LocalAddr)
		remote, ok2 := netip.AddrFromSlice(line.RemAddr)
		if line.St == stateEstablished && ok1 && ok2 {
			live[[2]netip.AddrPort{
				netip.AddrPortFrom(local.Unmap(), uint16(line.LocalPort)),
				netip.AddrPortFrom(remote.Unmap(), uint16(line.RemPort)),
			}] = true
		}
	}
}
