package sockets

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// request is struct inet_diag_req_v2 of the kernel's linux/inet_diag.h.
type request struct {
	Family, Protocol, Extensions, _ uint8
	States                          uint32
	ID                              identity
}

// identity is struct inet_diag_sockid; ports and addresses in network order.
type identity struct {
	SourcePort, DestinationPort [2]byte
	Source, Destination         [16]byte
	Interface                   uint32
	Cookie                      [2]uint32
}

// message is struct inet_diag_msg; attributes follow it.
type message struct {
	Family, State, Timer, Retransmits          uint8
	ID                                         identity
	Expires, ReadQueue, WriteQueue, UID, Inode uint32
}

const (
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY, linux/sock_diag.h
	inetDiagInfo     = 2  // INET_DIAG_INFO: struct tcp_info
)

// diagnose asks for the sockets of one address family.
func diagnose(family uint8, state State) ([]Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(int64(time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return nil, fmt.Errorf("set up sock_diag: %w", err)
	}
	body := request{Family: family, Protocol: unix.IPPROTO_TCP, Extensions: 1 << (inetDiagInfo - 1), States: 1 << state}
	header := unix.NlMsghdr{
		Len: uint32(unix.SizeofNlMsghdr + unsafe.Sizeof(body)), Type: sockDiagByFamily,
		Flags: unix.NLM_F_REQUEST | unix.NLM_F_DUMP,
	}
	packet := append(bytesOf(&header), bytesOf(&body)...)
	if err := unix.Sendto(fd, packet, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("ask sock_diag: %w", err)
	}
	var sockets []Socket
	buffer := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if err != nil {
			return nil, fmt.Errorf("read sock_diag: %w", err)
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return nil, fmt.Errorf("read sock_diag: %w", err)
		}
		for _, m := range messages {
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				return sockets, nil
			case unix.NLMSG_ERROR:
				return nil, fmt.Errorf("ask sock_diag: %w", syscall.EOPNOTSUPP)
			case sockDiagByFamily:
				if s, ok := parse(m.Data); ok {
					sockets = append(sockets, s)
				}
			}
		}
	}
}

func bytesOf[T any](v *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }

// parse one answer.
func parse(data []byte) (Socket, bool) {
	var m message
	size := int(unsafe.Sizeof(m))
	if len(data) < size {
		return Socket{}, false
	}
	copy(bytesOf(&m), data)
	s := Socket{
		Local:  address(m.Family, m.ID.Source, m.ID.SourcePort),
		Remote: address(m.Family, m.ID.Destination, m.ID.DestinationPort),
		Inode:  m.Inode, UID: m.UID,
	}
	for attributes := data[size:]; len(attributes) >= unix.SizeofRtAttr; {
		length := int(binary.NativeEndian.Uint16(attributes))
		if length < unix.SizeofRtAttr || length > len(attributes) {
			break
		}
		value := attributes[unix.SizeofRtAttr:length]
		const lastData = int(unsafe.Offsetof(unix.TCPInfo{}.Last_data_recv))
		if binary.NativeEndian.Uint16(attributes[2:]) == inetDiagInfo && len(value) >= lastData+4 {
			s.Idle = time.Duration(binary.NativeEndian.Uint32(value[lastData:])) * time.Millisecond
		}
		attributes = attributes[min(len(attributes), (length+3)&^3):]
	}
	return s, true
}

func address(family uint8, ip [16]byte, port [2]byte) netip.AddrPort {
	a := netip.AddrFrom16(ip)
	if family == unix.AF_INET {
		a = netip.AddrFrom4([4]byte(ip[:4]))
	}
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(port[:]))
}
