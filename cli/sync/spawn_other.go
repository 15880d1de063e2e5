//go:build !linux

package sync

import "os/exec"

// run starts a child and returns its end. The child ends with us because its
// standard input does.
func run(cmd *exec.Cmd) (<-chan error, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		close(ended)
	}()
	return ended, nil
}
