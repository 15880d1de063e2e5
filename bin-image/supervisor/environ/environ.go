// Package environ finds the environment that the container was started with.
// start.sh is a shell script, and no shell passes an environment on as it is: names
// that are no variables to it (spring.profiles.active) are dropped, and its own
// variables are exported where the container has some of the same name. Sessions
// are to see what Kubernetes set, and the supervisor is not to be run by Go's
// settings (GOGC, GODEBUG) that are meant for the user's program.
package environ

import (
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"okteto/internal/contract"
)

// maxEncoded bounds what is read. The kernel limits arguments and environment of a
// process together to 6 MiB at most (execve(2)).
const maxEncoded = 16 << 20

// Container returns the container's environment, in the form of os.Environ. It is
// in the file descriptor that contract.EnvStartEnviron names: what
// /proc/<pid>/environ had (proc(5)), in base64. The descriptor is closed. Without
// the variable, and with an error, it is the process's own environment without the
// variable.
func Container() ([]string, error) {
	text, ok := os.LookupEnv(contract.EnvStartEnviron)
	own := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, contract.EnvStartEnviron+"=")
	})
	if !ok {
		return own, nil
	}
	fd, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return own, fmt.Errorf("read %s: %w", contract.EnvStartEnviron, err)
	}
	file := os.NewFile(uintptr(fd), "environment")
	defer file.Close()
	raw, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, io.LimitReader(file, maxEncoded)))
	if err == nil && len(raw) == 0 {
		return nil, nil
	}
	if err != nil {
		return own, fmt.Errorf("read environment from file descriptor %d: %w", fd, err)
	}
	return strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00"), nil
}

// Lookup returns a function like os.Getenv on an environment.
func Lookup(environ []string) func(name string) string {
	return func(name string) string {
		for _, kv := range environ {
			if value, ok := strings.CutPrefix(kv, name+"="); ok {
				return value
			}
		}
		return ""
	}
}
