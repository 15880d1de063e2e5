package session

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func FuzzPtyRequest(f *testing.F) {
	f.Add(ssh.Marshal(struct {
		Term       string
		C, R, W, H uint32
		Modes      string
	}{"xterm", 80, 24, 0, 0, "\x35\x00\x00\x00\x00\x24\x00\x00\x00\x01\x00"}))
	f.Add([]byte{0, 0, 0, 1})
	f.Add(ssh.Marshal(struct {
		Term       string
		C, R, W, H uint32
		Modes      string
	}{"", 1 << 31, 1 << 31, 1 << 31, 1 << 31, "\x01\x00\x00\x01\xff\x80\xff\xff\xff\xff\xa0\x00\x00\x00\x01\x35"}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		req, err := parsePtyRequest(payload)
		if err != nil {
			return
		}
		var tio unix.Termios
		applyModes(&tio, req.modes)
		_ = fromOriginalCLI(req.modes)
		_ = req.window.winsize()
		for _, m := range req.modes {
			if m.op == 0 || m.op >= 160 {
				t.Fatalf("opcode %d is not a mode", m.op)
			}
		}
	})
}

func FuzzEnv(f *testing.F) {
	for _, s := range []string{"LANG", "LD_PRELOAD", "LC_X", "BASH_FUNC_x%%", "", "A=B", "LC_\x00", "PATH"} {
		f.Add(s, "value")
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		if !acceptEnv([]string{"*"}, name, value) {
			return
		}
		if strings.HasPrefix(name, "LD_") || name == "PATH" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			t.Fatalf("%q=%q is accepted", name, value)
		}
		e := newEnvSet([]string{"A=1"})
		e.set(name, value)
		if e.get(name) != value {
			t.Fatalf("%q is lost", name)
		}
	})
}

func FuzzPasswd(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/bash\n", "0")
	f.Add(":::::::\n:0:0", "0")
	f.Fuzz(func(_ *testing.T, text, uid string) {
		_ = parseAccount(bufio.NewScanner(strings.NewReader(text)), uid)
	})
}

func FuzzRing(f *testing.F) {
	f.Add([]byte("hello\nworld\n"), 4)
	f.Fuzz(func(t *testing.T, data []byte, max int) {
		if max < 1 || max > 1<<16 {
			return
		}
		r := ring{max: max}
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+len(rest)/3)
			r.write(rest[:n])
			rest = rest[n:]
		}
		got := r.bytes()
		if len(got) > max || !bytes.HasSuffix(data, got) {
			t.Fatalf("%q is no recent part of %q", got, data)
		}
		if len(data) <= max && !bytes.Equal(got, data) {
			t.Fatalf("%q was cut", data)
		}
		for n := range len(data) + 2 {
			got, ok := r.since(int64(n))
			if ok && string(got) != string(data[n:]) {
				t.Fatalf("%q follows the first %d bytes of %q", got, n, data)
			}
			if wanted := n <= len(data) && n >= len(data)-max; wanted && !ok {
				t.Fatalf("what follows the first %d bytes of %q is not there", n, data)
			}
		}
	})
}

func FuzzReader(f *testing.F) {
	for _, s := range []string{"me:0", "me:12345", ":1", "me:-1", "me", "a:b:1", "me:9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		now, err := parseReader(value)
		if err != nil {
			return
		}
		if now.name == "" || now.seen < 0 {
			t.Fatalf("%q gives %+v", value, now)
		}
		recent := ring{max: 4}
		recent.write([]byte("0123456789"))
		last := reader{name: now.name, start: 2}
		if got := last.next(now, &recent); len(got) > 10 || !strings.HasSuffix("0123456789", string(got)) {
			t.Fatalf("%q comes after %d bytes", got, now.seen)
		}
	})
}

func FuzzTerminalID(f *testing.F) {
	for _, s := range []string{"work-1", "", "a b", "../x", "a\nb", strings.Repeat("x", 129), "a:b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if !validTerminalID(id) {
			return
		}
		if id == "" || len(id) > 128 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/\\'\"$`=", r) }) {
			t.Fatalf("%q is taken", id)
		}
	})
}

// FuzzSCPCommand shows that what a shell would take apart is left to the shell.
func FuzzSCPCommand(f *testing.F) {
	for _, s := range []string{"scp -t x", "scp -f 'a b'", "scp -t $(id)", "scp -t a; id", "scp -f 'x", "scpx", "scp -f *.go"} {
		f.Add(s)
	}
	f.Setenv("PATH", f.TempDir())
	s := &Server{opts: Options{Self: "/proc/self/exe"}}
	f.Fuzz(func(t *testing.T, text string) {
		args, ok := s.scpCommand(text)
		if !ok {
			return
		}
		if len(args) == 0 || args[0] != "scp" {
			t.Fatalf("%q runs %q", text, args)
		}
		if !strings.ContainsAny(text, "'\"\\") && strings.ContainsAny(text, ";|&<>(){}$`\n") {
			t.Fatalf("%q is not left to the shell", text)
		}
	})
}

func TestModesOfTheOriginalCLI(t *testing.T) {
	set := func(ops ...uint32) []mode {
		var m []mode
		for i := 0; i < len(ops); i += 2 {
			m = append(m, mode{byte(ops[i]), ops[i+1]})
		}
		return m
	}
	for _, c := range []struct {
		name  string
		modes []mode
		want  bool
	}{
		{"exactly the set", set(opECHO, 0, opECHOCTL, 0, opIGNCR, 1), true},
		{"with speeds", set(opISPEED, 9600, opECHO, 0, opECHOCTL, 0, opIGNCR, 1, opOSPEED, 9600), true},
		{"one missing", set(opECHO, 0, opIGNCR, 1), false},
		{"one more", set(opECHO, 0, opECHOCTL, 0, opIGNCR, 1, 38, 0), false},
		{"another value", set(opECHO, 1, opECHOCTL, 0, opIGNCR, 1), false},
		{"none", nil, false},
	} {
		if got := fromOriginalCLI(c.modes); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}
