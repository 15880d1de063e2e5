package sockets

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// readProc reads net/tcp and net/tcp6 below a /proc directory; the second is
// missing without IPv6.
func readProc(root string, state State) ([]Socket, error) {
	var all []Socket
	for _, name := range []string{"net/tcp", "net/tcp6"} {
		f, err := os.Open(filepath.Join(root, name))
		if name == "net/tcp6" && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read sockets: %w", err)
		}
		sockets, err := scan(f, state)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("read sockets of %s: %w", f.Name(), err)
		}
		all = append(all, sockets...)
	}
	return all, nil
}

// scan reads lines of "sl local remote st queues timer retransmits uid timeout
// inode …" (the kernel's Documentation/networking/proc_net_tcp.rst).
func scan(r io.Reader, state State) ([]Socket, error) {
	var all []Socket
	lines := bufio.NewScanner(r)
	lines.Scan() // the head
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 {
			continue
		}
		if st, err := strconv.ParseUint(f[3], 16, 8); err != nil || State(st) != state {
			continue
		}
		local, err1 := endpoint(f[1])
		remote, err2 := endpoint(f[2])
		uid, err3 := strconv.ParseUint(f[7], 10, 32)
		inode, err4 := strconv.ParseUint(f[9], 10, 32)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return nil, err
		}
		all = append(all, Socket{Local: local, Remote: remote, UID: uint32(uid), Inode: uint32(inode)})
	}
	return all, lines.Err()
}

// endpoint reads "0100007F:08AE": the address as 32 bit words of the machine's
// byte order, the port as a number.
func endpoint(text string) (netip.AddrPort, error) {
	ip, number, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(ip)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: %w", text, err)
	}
	port, err := strconv.ParseUint(number, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: %w", text, err)
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	a, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("address %q: %w", text, strconv.ErrSyntax)
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(port)), nil
}
