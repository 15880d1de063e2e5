package forward

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func FuzzDirectTCP(f *testing.F) {
	f.Add(ssh.Marshal(directTCP{"localhost", 80, "127.0.0.1", 1}))
	f.Add(ssh.Marshal(directTCP{"[::1]", 1 << 20, "", 0}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, payload []byte) {
		var msg directTCP
		if ssh.Unmarshal(payload, &msg) != nil {
			return
		}
		targets, err := tcpTargets(msg.Host, msg.Port)
		if err == nil && (len(targets) == 0 || msg.Port == 0 || msg.Port > 65535) {
			t.Fatalf("%q %d: %v", msg.Host, msg.Port, targets)
		}
	})
}

func FuzzSocketPath(f *testing.F) {
	for _, s := range []string{"/tmp/a.sock", "rel/../a", "", "\x00", "/" + string(make([]byte, 200))} {
		f.Add(s)
	}
	c := &Conn{opts: Options{WorkDir: "/work"}}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := c.socketPath(path)
		if err == nil && (!filepath.IsAbs(got) || len(got) > maxSocketPath) {
			t.Fatalf("%q became %q", path, got)
		}
	})
}

func FuzzBindRequest(f *testing.F) {
	f.Add(ssh.Marshal(bindRequest{"localhost", 0}))
	f.Add(ssh.Marshal(bindRequest{"", 65536}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, payload []byte) {
		msg, err := parseBind(payload)
		if err != nil {
			return
		}
		for _, only := range []bool{false, true} {
			c := &Conn{opts: Options{LoopbackOnly: only}}
			binds := c.binds(msg.Host)
			if len(binds) == 0 || binds[0].optional || msg.Port > 65535 {
				t.Fatalf("%+v: %+v", msg, binds)
			}
			for _, b := range binds {
				if only && b.host != "127.0.0.1" && b.host != "::1" {
					t.Fatalf("%+v with loopback only: %+v", msg, binds)
				}
			}
		}
	})
}

func TestBinds(t *testing.T) {
	for host, want := range map[string]string{
		"": "0.0.0.0", "*": "0.0.0.0", "0.0.0.0": "0.0.0.0", "localhost": "127.0.0.1", "127.0.0.1": "127.0.0.1", "::1": "::1", "::": "::",
	} {
		c := &Conn{}
		if got := c.binds(host)[0].host; got != want {
			t.Errorf("%q listens on %q, want %q", host, got, want)
		}
		c.opts.LoopbackOnly = true
		if got := c.binds(host)[0].host; got != "127.0.0.1" {
			t.Errorf("%q with loopback only listens on %q", host, got)
		}
	}
}
