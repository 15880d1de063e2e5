//go:build linux

package terminal

import (
	"os"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

func TestLocalModes(t *testing.T) {
	leader, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer leader.Close()
	defer tty.Close()
	settings, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	settings.Cc[unix.VERASE] = 'H' & 0x1f
	settings.Iflag &^= unix.IXON
	settings.Lflag |= unix.ECHOCTL
	if err := unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, settings); err != nil {
		t.Fatal(err)
	}
	modes := localModes(tty)
	for op, want := range map[uint8]uint32{ssh.VERASE: 'H' & 0x1f, ssh.IXON: 0, ssh.ECHOCTL: 1, ssh.ICANON: 1, ssh.OPOST: 1} {
		if got, ok := modes[op]; !ok || got != want {
			t.Errorf("mode %d is %d (there: %t), want %d", op, got, ok, want)
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if modes := localModes(null); len(modes) != 0 {
		t.Errorf("%s has modes: %v", os.DevNull, modes)
	}
}
