package sweep

import (
	"fmt"
	"net"
	"testing"
	"time"
)

// connected is a TCP connection and the SSH_CONNECTION that a session over it has.
func connected(t *testing.T, network, address string) (client net.Conn, variable string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skip(err) // no IPv6 here
	}
	defer l.Close()
	if client, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if _, err := client.Write([]byte("a sign of life")); err != nil {
		t.Fatal(err)
	}
	here, there := server.RemoteAddr().(*net.TCPAddr), server.LocalAddr().(*net.TCPAddr)
	return client, fmt.Sprintf("%s %d %s %d", here.IP, here.Port, there.IP, there.Port)
}

func TestConnections(t *testing.T) {
	for _, family := range [][2]string{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"tcp", ":0"}} {
		t.Run(family[0], func(t *testing.T) {
			client, variable := connected(t, family[0], family[1])
			if !liveConnections().has(variable) {
				t.Errorf("%q is not known to live", variable)
			}
			client.Close()
			deadline := time.Now().Add(20 * time.Second)
			for liveConnections().has(variable) {
				if time.Now().After(deadline) {
					t.Fatal("a closed connection lives")
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}

func TestConnectionVariable(t *testing.T) {
	_, variable := connected(t, "tcp4", "127.0.0.1:0")
	live := liveConnections()
	for _, wrong := range []string{"", "x", variable + " more", "127.0.0.1 x 127.0.0.1 2222", "127.0.0.1 1 localhost 2222", "127.0.0.1 1 127.0.0.1 1"} {
		if live.has(wrong) {
			t.Errorf("%q lives", wrong)
		}
	}
}
