package sockets

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// connected makes a TCP connection and returns both of its ends.
func connected(t *testing.T, network, address string) (listener *net.TCPAddr, client, server net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skip(err) // no IPv6 here
	}
	t.Cleanup(func() { l.Close() })
	if client, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return l.Addr().(*net.TCPAddr), client, server
}

func endOf(a net.Addr) netip.AddrPort {
	p := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// TestBothSources: netlink and /proc tell the same.
func TestBothSources(t *testing.T) {
	netlink := func(state State) ([]Socket, error) { return TCP(state) }
	proc := func(state State) ([]Socket, error) { return readProc("/proc", state) }
	for name, list := range map[string]func(State) ([]Socket, error){"netlink": netlink, "proc": proc} {
		for _, family := range [][2]string{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"tcp", ":0"}} {
			t.Run(name+" "+family[0], func(t *testing.T) {
				listener, client, server := connected(t, family[0], family[1])
				all, err := list(Established)
				if err != nil {
					t.Fatal(err)
				}
				for _, conn := range []net.Conn{client, server} {
					i := slices.IndexFunc(all, func(s Socket) bool {
						return s.Local == endOf(conn.LocalAddr()) && s.Remote == endOf(conn.RemoteAddr())
					})
					if i < 0 {
						t.Fatalf("%s to %s is not there", conn.LocalAddr(), conn.RemoteAddr())
					}
					if all[i].Inode == 0 || all[i].UID != uint32(os.Getuid()) {
						t.Errorf("%+v", all[i])
					}
				}
				all, err = list(Listening)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(all, func(s Socket) bool { return s.Local.Port() == uint16(listener.Port) }) {
					t.Errorf("the listener on %s is not there", listener)
				}
			})
		}
	}
}

func TestIdle(t *testing.T) {
	_, client, server := connected(t, "tcp4", "127.0.0.1:0")
	idle := func() time.Duration {
		t.Helper()
		all, err := diagnose(2, Established)
		if err != nil {
			t.Skip(err) // netlink is not allowed
		}
		for _, s := range all {
			if s.Local == endOf(server.LocalAddr()) && s.Remote == endOf(server.RemoteAddr()) {
				return s.Idle
			}
		}
		t.Fatal("the connection is not there")
		return 0
	}
	for idle() < 100*time.Millisecond {
		time.Sleep(10 * time.Millisecond)
	}
	before := idle()
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); idle() >= before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("data does not end the idle time")
		}
	}
}

func TestListeners(t *testing.T) {
	listener, _, _ := connected(t, "tcp4", "127.0.0.1:0")
	end := endOf(listener)
	at := func(address string) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(address), end.Port())
	}
	for address, want := range map[netip.AddrPort]bool{
		end: true, at("0.0.0.0"): true, at("::"): true, at("::ffff:127.0.0.1"): true,
		at("127.0.0.2"): false, at("::1"): false, netip.AddrPortFrom(end.Addr(), 1): false,
	} {
		found, err := Listeners(address)
		if err != nil || (len(found) == 1 && found[0].Local == end) != want {
			t.Errorf("%s: %+v, %v, want %v", address, found, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 72))
	f.Add(append(make([]byte, 72), 4, 0, 2, 0, 3, 0, 2, 0))
	f.Add(append(make([]byte, 72), 255, 255, 2, 0, 1))
	f.Fuzz(func(_ *testing.T, data []byte) { parse(data) })
}

func FuzzScan(f *testing.F) {
	f.Add("head\n   0: 0100007F:08AE 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1\n")
	f.Add("head\n 0: 00:1 : 0A a b c d e f g\n")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = scan(strings.NewReader(text), Listening) })
}
