package session

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openPTY makes a terminal: its master for us, its slave for the program, and
// the slave's name. github.com/creack/pty is not used here because it calls
// File.Fd, which turns the master into a blocking file that no deadline and no
// Close can interrupt.
func openPTY() (master, slave *os.File, name string, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, "", fmt.Errorf("open /dev/ptmx: %w", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	defer func() {
		if err != nil {
			_ = master.Close()
		}
	}()
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, "", fmt.Errorf("name the terminal: %w", err)
	}
	name = "/dev/pts/" + strconv.Itoa(n)
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, "", fmt.Errorf("unlock %s: %w", name, err)
	}
	sfd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, "", fmt.Errorf("open %s: %w", name, err)
	}
	return master, os.NewFile(uintptr(sfd), name), name, nil
}

// prepare applies what the client asked for before the program can see it:
// modes, size and owner.
func (r *ptyRequest) prepare(slave *os.File) error {
	return control(slave, func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return fmt.Errorf("get terminal modes: %w", err)
		}
		if !fromOriginalCLI(r.modes) {
			applyModes(t, r.modes)
		}
		if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
			return fmt.Errorf("set terminal modes: %w", err)
		}
		if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, r.window.winsize()); err != nil {
			return fmt.Errorf("set terminal size: %w", err)
		}
		// Other users must not write to the terminal. Some sandboxes forbid
		// this, and the terminal works all the same.
		_ = unix.Fchmod(fd, 0o620)
		return nil
	})
}

// control runs f on the file's descriptor without making the file blocking.
func control(file *os.File, f func(fd int) error) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := conn.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		return err
	}
	return ferr
}

func setSize(master *os.File, w window) error {
	return control(master, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, w.winsize())
	})
}

// foreground is the terminal's foreground process group, 0 if it has none.
func foreground(master *os.File) int {
	var pgrp int
	_ = control(master, func(fd int) (err error) {
		pgrp, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return err
	})
	return pgrp
}

// endOfFile returns the bytes that make a program which reads lines from the
// terminal see the end of its input; nil if the terminal is in raw mode, where
// no such byte exists. midLine tells that the last byte written did not end a
// line, so that the first EOF character only hands that line over.
func endOfFile(master *os.File, midLine bool) []byte {
	var eof []byte
	_ = control(master, func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil && t.Lflag&unix.ICANON != 0 && t.Cc[unix.VEOF] != 0 {
			eof = []byte{t.Cc[unix.VEOF]}
			if midLine {
				eof = append(eof, t.Cc[unix.VEOF])
			}
		}
		return err
	})
	return eof
}
