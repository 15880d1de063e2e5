package session

import (
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// window is a terminal's size: characters and pixels.
type window struct{ Cols, Rows, Width, Height uint32 }

func (w window) winsize() *unix.Winsize {
	return &unix.Winsize{
		Row: clamp16(w.Rows), Col: clamp16(w.Cols),
		Xpixel: clamp16(w.Width), Ypixel: clamp16(w.Height),
	}
}

func clamp16(v uint32) uint16 {
	return uint16(min(v, 0xffff))
}

// ptyRequest is a parsed pty-req (RFC 4254 section 6.2).
type ptyRequest struct {
	term   string
	window window
	modes  []mode
}

// mode is one entry of the encoded terminal modes (RFC 4254 section 8).
type mode struct {
	op    byte
	value uint32
}

var errMalformed = errors.New("malformed request")

func parsePtyRequest(payload []byte) (*ptyRequest, error) {
	var msg struct {
		Term                      string
		Cols, Rows, Width, Height uint32
		Modes                     string
	}
	if err := ssh.Unmarshal(payload, &msg); err != nil {
		return nil, err
	}
	if len(msg.Term) > 256 {
		return nil, errMalformed
	}
	return &ptyRequest{
		term:   msg.Term,
		window: window{msg.Cols, msg.Rows, msg.Width, msg.Height},
		modes:  parseModes([]byte(msg.Modes)),
	}, nil
}

func parseWindow(payload []byte) (window, error) {
	var w struct{ Cols, Rows, Width, Height uint32 }
	err := ssh.Unmarshal(payload, &w)
	return window(w), err
}

// parseModes reads (opcode, uint32) pairs. Opcode 0 and those from 160 end the
// list, as RFC 4254 section 8 says; a truncated tail is ignored.
func parseModes(b []byte) []mode {
	var modes []mode
	for len(b) >= 5 && b[0] != 0 && b[0] < 160 && len(modes) < 256 {
		modes = append(modes, mode{b[0], binary.BigEndian.Uint32(b[1:])})
		b = b[5:]
	}
	return modes
}

// fromOriginalCLI reports whether the modes are the set that the original
// okteto CLI sends for every terminal, ECHO=0 ECHOCTL=0 IGNCR=1
// (okteto/okteto pkg/ssh/exec.go). Its server ignores modes; applied, they
// would leave a shell without echo and without an Enter key.
func fromOriginalCLI(modes []mode) bool {
	want := map[byte]uint32{opECHO: 0, opECHOCTL: 0, opIGNCR: 1}
	n := 0
	for _, m := range modes {
		if m.op == opISPEED || m.op == opOSPEED {
			continue
		}
		if v, ok := want[m.op]; !ok || v != m.value {
			return false
		}
		n++
	}
	return n == len(want)
}

// Opcodes that code refers to by name.
const (
	opIGNCR   = 35
	opECHO    = 53
	opECHOCTL = 60
	opISPEED  = 128
	opOSPEED  = 129
)

// apply sets the modes in t.
func applyModes(t *unix.Termios, modes []mode) {
	for _, m := range modes {
		if i, ok := ccIndex[m.op]; ok {
			c := byte(m.value)
			if m.value >= 255 { // 255 is "disabled" on the wire, 0 in Linux
				c = 0
			}
			t.Cc[i] = c
			continue
		}
		f, ok := flags[m.op]
		if !ok {
			continue
		}
		field := f.field(t)
		if f.mask != 0 {
			if m.value != 0 {
				*field = *field&^f.mask | f.bit
			}
			continue
		}
		if m.value != 0 {
			*field |= f.bit
		} else {
			*field &^= f.bit
		}
	}
}

var ccIndex = map[byte]int{
	1: unix.VINTR, 2: unix.VQUIT, 3: unix.VERASE, 4: unix.VKILL, 5: unix.VEOF,
	6: unix.VEOL, 7: unix.VEOL2, 8: unix.VSTART, 9: unix.VSTOP, 10: unix.VSUSP,
	12: unix.VREPRINT, 13: unix.VWERASE, 14: unix.VLNEXT, 16: unix.VSWTC,
	18: unix.VDISCARD,
}

type flag struct {
	field func(*unix.Termios) *uint32
	bit   uint32
	mask  uint32 // for multi-bit fields: what to clear first
}

func iflag(t *unix.Termios) *uint32 { return &t.Iflag }
func oflag(t *unix.Termios) *uint32 { return &t.Oflag }
func cflag(t *unix.Termios) *uint32 { return &t.Cflag }
func lflag(t *unix.Termios) *uint32 { return &t.Lflag }

// flags by opcode: RFC 4254 section 8, and RFC 8160 for IUTF8 (42).
var flags = map[byte]flag{
	30: {iflag, unix.IGNPAR, 0}, 31: {iflag, unix.PARMRK, 0}, 32: {iflag, unix.INPCK, 0},
	33: {iflag, unix.ISTRIP, 0}, 34: {iflag, unix.INLCR, 0}, opIGNCR: {iflag, unix.IGNCR, 0},
	36: {iflag, unix.ICRNL, 0}, 37: {iflag, unix.IUCLC, 0}, 38: {iflag, unix.IXON, 0},
	39: {iflag, unix.IXANY, 0}, 40: {iflag, unix.IXOFF, 0}, 41: {iflag, unix.IMAXBEL, 0},
	42: {iflag, unix.IUTF8, 0},

	50: {lflag, unix.ISIG, 0}, 51: {lflag, unix.ICANON, 0}, 52: {lflag, unix.XCASE, 0},
	opECHO: {lflag, unix.ECHO, 0}, 54: {lflag, unix.ECHOE, 0}, 55: {lflag, unix.ECHOK, 0},
	56: {lflag, unix.ECHONL, 0}, 57: {lflag, unix.NOFLSH, 0}, 58: {lflag, unix.TOSTOP, 0},
	59: {lflag, unix.IEXTEN, 0}, opECHOCTL: {lflag, unix.ECHOCTL, 0}, 61: {lflag, unix.ECHOKE, 0},
	62: {lflag, unix.PENDIN, 0},

	70: {oflag, unix.OPOST, 0}, 71: {oflag, unix.OLCUC, 0}, 72: {oflag, unix.ONLCR, 0},
	73: {oflag, unix.OCRNL, 0}, 74: {oflag, unix.ONOCR, 0}, 75: {oflag, unix.ONLRET, 0},

	90: {cflag, unix.CS7, unix.CSIZE}, 91: {cflag, unix.CS8, unix.CSIZE},
	92: {cflag, unix.PARENB, 0}, 93: {cflag, unix.PARODD, 0},
}
