//go:build linux || darwin

package terminal

import (
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// The opcodes of RFC 4254 section 8, and of RFC 8160 (IUTF8), with the places in
// termios(3) that they stand for.
var (
	controlCharacters = map[uint8]int{
		ssh.VINTR: unix.VINTR, ssh.VQUIT: unix.VQUIT, ssh.VERASE: unix.VERASE, ssh.VKILL: unix.VKILL,
		ssh.VEOF: unix.VEOF, ssh.VEOL: unix.VEOL, ssh.VEOL2: unix.VEOL2, ssh.VSTART: unix.VSTART, ssh.VSTOP: unix.VSTOP,
		ssh.VSUSP: unix.VSUSP, ssh.VREPRINT: unix.VREPRINT, ssh.VWERASE: unix.VWERASE, ssh.VLNEXT: unix.VLNEXT,
	}
	inputFlags = map[uint8]uint64{
		ssh.IGNPAR: unix.IGNPAR, ssh.PARMRK: unix.PARMRK, ssh.INPCK: unix.INPCK, ssh.ISTRIP: unix.ISTRIP,
		ssh.INLCR: unix.INLCR, ssh.IGNCR: unix.IGNCR, ssh.ICRNL: unix.ICRNL, ssh.IXON: unix.IXON,
		ssh.IXANY: unix.IXANY, ssh.IXOFF: unix.IXOFF, ssh.IMAXBEL: unix.IMAXBEL, ssh.IUTF8: unix.IUTF8,
	}
	localFlags = map[uint8]uint64{
		ssh.ISIG: unix.ISIG, ssh.ICANON: unix.ICANON, ssh.ECHO: unix.ECHO, ssh.ECHOE: unix.ECHOE,
		ssh.ECHOK: unix.ECHOK, ssh.ECHONL: unix.ECHONL, ssh.NOFLSH: unix.NOFLSH, ssh.TOSTOP: unix.TOSTOP,
		ssh.IEXTEN: unix.IEXTEN, ssh.ECHOCTL: unix.ECHOCTL, ssh.ECHOKE: unix.ECHOKE,
	}
	outputFlags = map[uint8]uint64{
		ssh.OPOST: unix.OPOST, ssh.ONLCR: unix.ONLCR, ssh.OCRNL: unix.OCRNL, ssh.ONOCR: unix.ONOCR, ssh.ONLRET: unix.ONLRET,
	}
)

// localModes are the settings of a terminal, such as which key erases, for the one
// in the pod to have too. A file that is no terminal has none.
func localModes(terminal *os.File) ssh.TerminalModes {
	modes := ssh.TerminalModes{}
	settings, err := unix.IoctlGetTermios(int(terminal.Fd()), getTermios)
	if err != nil {
		return modes
	}
	for op, at := range controlCharacters {
		modes[op] = uint32(settings.Cc[at])
	}
	for _, group := range []struct {
		flags map[uint8]uint64
		set   uint64
	}{
		{inputFlags, uint64(settings.Iflag)},
		{localFlags, uint64(settings.Lflag)},
		{outputFlags, uint64(settings.Oflag)},
	} {
		for op, bit := range group.flags {
			modes[op] = 0
			if group.set&bit != 0 {
				modes[op] = 1
			}
		}
	}
	return modes
}
