package forward

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"

	psnet "github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

// PortError says that a port of the laptop cannot be listened on.
type PortError struct {
	Addr string
	// Holder describes the process that has it, "" when that cannot be told.
	Holder string
	Err    error
}

func (e *PortError) Error() string {
	if e.Holder != "" {
		return fmt.Sprintf("listen on %s: in use by %s", e.Addr, e.Holder)
	}
	return fmt.Sprintf("listen on %s: %v", e.Addr, e.Err)
}

// Unwrap returns the system's error.
func (e *PortError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *PortError) Hint() string {
	switch {
	case isInUse(e.Err):
		return "end that process, or choose another local port in the manifest"
	case errors.Is(e.Err, fs.ErrPermission):
		return "ports below 1024 need privileges on this system; choose a higher local port"
	}
	return "choose another local port in the manifest"
}

func portError(host string, port int, err error) *PortError {
	e := &PortError{Addr: net.JoinHostPort(host, strconv.Itoa(port)), Err: err}
	if isInUse(err) {
		e.Holder = holder(port)
	}
	return e
}

// holder names the process that listens on a port, as far as this user may know.
func holder(port int) string {
	connections, err := psnet.Connections("tcp")
	if err != nil {
		return ""
	}
	for _, c := range connections {
		if c.Status != "LISTEN" || int(c.Laddr.Port) != port || c.Pid == 0 {
			continue
		}
		description := fmt.Sprintf("process %d", c.Pid)
		if p, err := process.NewProcess(c.Pid); err == nil {
			if name, err := p.Name(); err == nil {
				description += " (" + name + ")"
			}
		}
		return description
	}
	return ""
}
