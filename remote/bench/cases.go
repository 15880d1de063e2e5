package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const gcm = "aes128-gcm@openssh.com"

func cases(o options) []benchCase {
	var all []benchCase
	for _, c := range []struct {
		label string
		args  []string
	}{{"aes128-gcm", []string{"-c", gcm}}, {"client's default", nil}} {
		add := func(name string, f func(*server, []string, options) (float64, error)) {
			all = append(all, benchCase{
				name: name + ", " + c.label, show: showRate,
				measure: func(s *server) (float64, error) { return f(s, c.args, o) },
			})
		}
		add("exec stdout", execOut)
		add("exec stdin", execIn)
		add("-L download", forwardDown)
		add("-L upload", forwardUp)
		add("sftp get", sftpGet)
		add("sftp put", sftpPut)
	}
	for _, c := range []struct {
		name string
		f    func(*server, []string, options) (float64, error)
	}{
		{"exec stdout", execOut},
		{"exec stdin", execIn},
		{"-L download", forwardDown},
		{"-L upload", forwardUp},
		{"sftp get", sftpGet},
		{"sftp put", sftpPut},
	} {
		all = append(all, benchCase{name: c.name + ", 50 ms round trip", show: showRate, measure: func(s *server) (float64, error) {
			far, end, err := s.farAway()
			if err != nil {
				return 0, err
			}
			defer end()
			return c.f(far, nil, o)
		}})
	}
	timed := func(name string, f func(*server, options) (float64, error)) {
		all = append(all, benchCase{name: name, less: true, show: showTime, measure: func(s *server) (float64, error) { return f(s, o) }})
	}
	timed("small files put", smallFiles)
	timed("connect and exec", connectExec)
	timed("multiplexed exec", muxExec)
	for _, load := range []struct {
		label, command string
		quantiles      []float64
	}{
		{"echo", "", []float64{0.50, 0.99}},
		{"echo while downloading", "cat /dev/zero", []float64{0.50, 0.95}},
		{"echo while uploading", "cat >/dev/null", []float64{0.50, 0.95}},
	} {
		for _, q := range load.quantiles {
			timed(fmt.Sprintf("%s p%.0f", load.label, q*100), func(s *server, _ options) (float64, error) {
				return echoTime(s, load.command, q)
			})
		}
	}
	memory := func(name string, f func(*server) (float64, error)) {
		all = append(all, benchCase{name: name, less: true, show: showMiB, measure: f})
	}
	memory("memory idle", func(s *server) (float64, error) { return s.memory(), nil })
	memory("memory, 100 connections", connectionsMemory)
	memory("memory, 100 forwards", forwardsMemory)
	return all
}

// timeOf runs a client to its end.
func timeOf(cmd *exec.Cmd) (time.Duration, error) {
	cmd.Stderr = os.Stderr
	begin := time.Now()
	err := cmd.Run()
	return time.Since(begin), err
}

func execOut(s *server, args []string, o options) (float64, error) {
	d, err := timeOf(s.client("ssh", append(args, "pod", fmt.Sprintf("head -c %d /dev/zero", o.size<<20))...))
	return rate(o.size, d), err
}

func execIn(s *server, args []string, o options) (float64, error) {
	cmd := exec.Command("sh", "-c", fmt.Sprintf("head -c %d /dev/zero | \"$@\"", o.size<<20), "sh", "ssh")
	cmd.Args = append(cmd.Args, s.client("ssh", append(args, "pod", "cat >/dev/null")...).Args[1:]...)
	d, err := timeOf(cmd)
	return rate(o.size, d), err
}

// forward starts ssh -N -L to a target of this program and hands a connection
// over.
func forward(s *server, args []string, target, client func(net.Conn) error) (time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	local := free.Addr().String()
	_ = free.Close()
	cmd := s.client("ssh", append(args, "-N", "-L", local+":"+l.Addr().String(), "pod")...)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = target(conn)
			_ = conn.Close()
		}
		done <- err
	}()
	var conn net.Conn
	for range 500 {
		if conn, err = net.Dial("tcp", local); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	begin := time.Now()
	if err := client(conn); err != nil {
		return 0, err
	}
	if err := <-done; err != nil {
		return 0, err
	}
	return time.Since(begin), nil
}

func give(n int) func(net.Conn) error {
	return func(conn net.Conn) error {
		buf := make([]byte, 256<<10)
		for n := n; n > 0; n -= len(buf) {
			if _, err := conn.Write(buf); err != nil {
				return err
			}
		}
		return conn.(*net.TCPConn).CloseWrite()
	}
}

func take(conn net.Conn) error {
	buf := make([]byte, 256<<10)
	for {
		if _, err := conn.Read(buf); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func forwardDown(s *server, args []string, o options) (float64, error) {
	d, err := forward(s, args, give(o.size<<20), take)
	return rate(o.size, d), err
}

func forwardUp(s *server, args []string, o options) (float64, error) {
	d, err := forward(s, args, take, give(o.size<<20))
	return rate(o.size, d), err
}

// sftp runs commands.
func sftp(s *server, args []string, commands ...string) (time.Duration, error) {
	cmd := s.client("sftp", append(args, "-q", "-b", "-", "pod")...)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	return timeOf(cmd)
}

func (s *server) file(o options) (string, error) {
	path := s.path("big")
	if st, err := os.Stat(path); err == nil && st.Size() == int64(o.size)<<20 {
		return path, nil
	}
	return path, os.WriteFile(path, make([]byte, o.size<<20), 0o600)
}

func sftpGet(s *server, args []string, o options) (float64, error) {
	path, err := s.file(o)
	if err != nil {
		return 0, err
	}
	d, err := sftp(s, args, "get "+path+" "+path+".got")
	_ = os.Remove(path + ".got")
	return rate(o.size, d), err
}

func sftpPut(s *server, args []string, o options) (float64, error) {
	path, err := s.file(o)
	if err != nil {
		return 0, err
	}
	d, err := sftp(s, args, "put "+path+" "+path+".put")
	_ = os.Remove(path + ".put")
	return rate(o.size, d), err
}

func smallFiles(s *server, o options) (float64, error) {
	src, dst := s.path("small"), s.path("put")
	if _, err := os.Stat(src); err != nil {
		_ = os.Mkdir(src, 0o700)
		for i := range o.files {
			if err := os.WriteFile(fmt.Sprintf("%s/%d", src, i), make([]byte, 1024), 0o600); err != nil {
				return 0, err
			}
		}
	}
	d, err := sftp(s, nil, "put -r "+src+" "+dst)
	_ = os.RemoveAll(dst)
	return d.Seconds(), err
}

func connectExec(s *server, _ options) (float64, error) {
	const n = 10
	begin := time.Now()
	for range n {
		if _, err := timeOf(s.client("ssh", "pod", "true")); err != nil {
			return 0, err
		}
	}
	return time.Since(begin).Seconds() / n, nil
}

func muxExec(s *server, _ options) (float64, error) {
	const n = 20
	ctl := s.path("ctl")
	master := s.client("ssh", "-N", "-M", "-S", ctl, "pod")
	if err := master.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = master.Process.Kill()
		_ = master.Wait()
		_ = os.Remove(ctl)
	}()
	for range 500 {
		if _, err := os.Stat(ctl); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	begin := time.Now()
	for range n {
		if _, err := timeOf(s.client("ssh", "-S", ctl, "pod", "true")); err != nil {
			return 0, err
		}
	}
	return time.Since(begin).Seconds() / n, nil
}

// dial connects with golang.org/x/crypto/ssh.
func (s *server) dial() (*ssh.Client, error) {
	data, err := os.ReadFile(s.dir + "/../id")
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, err
	}
	return ssh.Dial("tcp", s.addr(), &ssh.ClientConfig{
		User: s.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
}

func connectionsMemory(s *server) (float64, error) {
	for range 100 {
		c, err := s.dial()
		if err != nil {
			return 0, err
		}
		defer c.Close()
	}
	return s.memory(), nil
}

func forwardsMemory(s *server) (float64, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	c, err := s.dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for range 100 {
		if _, err := c.Dial("tcp", l.Addr().String()); err != nil {
			return 0, err
		}
	}
	return s.memory(), nil
}
