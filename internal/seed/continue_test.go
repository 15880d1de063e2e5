package seed

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"okteto/internal/testkit/proxy"
)

// A receiver whose connection is dead may not know it yet when the next one
// comes.
func TestPartialOfALivingReceiverIsContinued(t *testing.T) {
	laptop, pod, trash := dirs(t)
	noise(t, filepath.Join(laptop, "large"), largeSize)
	folder := Folder{LocalPath: laptop, RemotePath: pod, Trash: trash}
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- Serve(t.Context(), far) }()
	conn := &counter{Conn: near, limit: largeSize / 2, silent: true}
	if _, err := Send(t.Context(), conn, []Folder{folder}, nil); err == nil {
		t.Fatal("the cut was not noticed")
	}
	crossed, outcome := cutAfter(t, 0, folder)
	atMost(t, crossed, 0.6)
	if outcome.Resumed == 0 {
		t.Error("nothing was resumed")
	}
	near.Close()
	if err := <-served; err == nil {
		t.Error("the first receiver ended well")
	}
	equal(t, laptop, pod)
	noTemporaries(t, pod)
}

// Only one of several seeds at once has the partial; the others have copies.
func TestSeedsAtOnceShareNoPartial(t *testing.T) {
	laptop, pod, trash := dirs(t)
	noise(t, filepath.Join(laptop, "large"), largeSize)
	folder := Folder{LocalPath: laptop, RemotePath: pod, Trash: trash}
	cutAfter(t, largeSize/2, folder)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			results, err := trySeed(t.Context(), folder)
			if err != nil || results[0].FailedCount > 0 {
				t.Errorf("%+v, %v", results, err)
			}
		})
	}
	wg.Wait()
	equal(t, laptop, pod)
	cutAfter(t, 0, folder)
	noTemporaries(t, pod)
}

// serveEnv makes the test serve on its standard input and output.
const serveEnv = "SEED_TEST_SERVE"

type stdio struct {
	io.Reader
	io.Writer
}

func TestKilledReceiverIsContinued(t *testing.T) {
	if os.Getenv(serveEnv) != "" {
		t.Fatal(Serve(t.Context(), stdio{os.Stdin, os.Stdout}))
	}
	laptop, pod, trash := dirs(t)
	noise(t, filepath.Join(laptop, "large"), largeSize)
	folder := Folder{LocalPath: laptop, RemotePath: pod, Trash: trash}
	var crossed int64
	for range 2 {
		crossed += killedAfter(t, largeSize*3/10, folder)
	}
	if found := temporaries(t, pod); len(found) != 1 {
		t.Errorf("partials: %v", found)
	}
	last, _ := cutAfter(t, 0, folder)
	atMost(t, crossed+last, 1.1)
	equal(t, laptop, pod)
	noTemporaries(t, pod)
}

// killing writes to a process and kills it after some bytes.
type killing struct {
	stdio
	written, limit int64
	process        *os.Process
}

func (k *killing) Write(b []byte) (int, error) {
	if k.limit > 0 && k.written > k.limit {
		k.limit = 0
		if err := k.process.Kill(); err != nil {
			return 0, err
		}
	}
	n, err := k.Writer.Write(b)
	k.written += int64(n)
	return n, err
}

func killedAfter(t *testing.T, limit int64, folder Folder) int64 {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", "^TestKilledReceiverIsContinued$")
	cmd.Env = append(os.Environ(), serveEnv+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conn := &killing{stdio: stdio{out, in}, limit: limit, process: cmd.Process}
	_, err = Send(t.Context(), conn, []Folder{folder}, nil)
	_ = cmd.Wait() // its state tells
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); err == nil || status.Signal() != syscall.SIGKILL {
		t.Fatalf("send: %v, process: %v", err, cmd.ProcessState)
	}
	return conn.written
}

// Over TCP, with what is under way in buffers.
func TestLargeFileIsContinuedOverTCP(t *testing.T) {
	laptop, pod, trash := dirs(t)
	noise(t, filepath.Join(laptop, "large"), 2*largeSize)
	folder := Folder{LocalPath: laptop, RemotePath: pod, Trash: trash}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				close(served)
				return
			}
			err = Serve(t.Context(), conn)
			conn.Close()
			served <- err
		}
	}()
	p, err := proxy.New(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	defer func() {
		listener.Close()
		<-served
	}()
	p.SetRate(32 << 20)
	for _, limit := range []int64{2 * largeSize * 3 / 10, 2 * largeSize * 6 / 10, 0} {
		conn, err := net.DialTimeout("tcp", p.Addr(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Send(t.Context(), conn, []Folder{folder}, func(Progress) {
			if limit > 0 && p.Bytes() > limit {
				p.Cut()
			}
		})
		conn.Close()
		if err := errors.Join(err, <-served); (err == nil) != (limit == 0) {
			t.Fatalf("cut after %d: %v", limit, err)
		}
	}
	atMost(t, p.Bytes()/2, 1.1)
	equal(t, laptop, pod)
	noTemporaries(t, pod)
}
