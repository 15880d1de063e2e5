package main

import (
	"io"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

// echoTime is a quantile of the time from a key to its echo by cat in a
// terminal in raw mode, while a command moves what it can on the same connection.
func echoTime(s *server, load string, q float64) (float64, error) {
	c, err := s.dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if load != "" {
		if err := saturate(c, load); err != nil {
			return 0, err
		}
	}
	sess, err := c.NewSession()
	if err != nil {
		return 0, err
	}
	if err := sess.RequestPty("xterm", 24, 80, nil); err != nil {
		return 0, err
	}
	in, _ := sess.StdinPipe()
	out, _ := sess.StdoutPipe()
	if err := sess.Start("stty raw -echo; printf r; exec cat"); err != nil {
		return 0, err
	}
	b := make([]byte, 1)
	if _, err := io.ReadFull(out, b); err != nil {
		return 0, err
	}
	times := make([]float64, 0, 600)
	for range cap(times) {
		begin := time.Now()
		if _, err := in.Write([]byte{'x'}); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(out, b); err != nil {
			return 0, err
		}
		times = append(times, time.Since(begin).Seconds())
		time.Sleep(time.Millisecond)
	}
	slices.Sort(times)
	return times[int(q*float64(len(times)-1))], nil
}

// saturate starts a command, and moves data both ways until the connection ends.
func saturate(c *ssh.Client, command string) error {
	sess, err := c.NewSession()
	if err != nil {
		return err
	}
	sess.Stdin, sess.Stdout = zeros{}, io.Discard
	return sess.Start(command)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
