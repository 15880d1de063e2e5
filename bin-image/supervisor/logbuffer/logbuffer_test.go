package logbuffer

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 20 * time.Second

// TestNobodyReads: writers go on, the oldest lines are kept, and the gap is told.
func TestNobodyReads(t *testing.T) {
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const limit = 10_000
	w := New(out, limit)
	line := strings.Repeat("x", 99) + "\n"
	var writers sync.WaitGroup
	for range 10 {
		writers.Add(1)
		go func() {
			defer writers.Done()
			for range 1000 { // far more than a pipe and the limit hold
				if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
					t.Errorf("Write: %d, %v", n, err)
				}
			}
		}()
	}
	writers.Wait()
	read := make(chan string)
	go func() {
		content, _ := io.ReadAll(r)
		read <- string(content)
	}()
	w.Close(patience)
	out.Close()
	got := <-read
	kept := strings.Count(got, line)
	var lost int
	for rest := got; ; {
		_, after, found := strings.Cut(rest, "count=")
		if !found {
			break
		}
		var n int
		if _, err := fmt.Sscan(after, &n); err != nil {
			t.Fatal(err)
		}
		lost, rest = lost+n, after
	}
	if kept < limit/len(line) || kept+lost != 10_000 {
		t.Errorf("%d lines are kept and %d told to be lost, of 10000", kept, lost)
	}
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := New(out, 1<<20)
	for range 10 {
		_, _ = w.Write(make([]byte, 100_000))
	}
	w.Close(10 * time.Millisecond)
	r.Close() // ends the write that hangs
	<-w.done
}

func TestOrder(t *testing.T) {
	var out, want bytes.Buffer
	w := New(&out, 1<<20)
	for i := range 1000 {
		line := fmt.Sprintln("line", i)
		want.WriteString(line)
		_, _ = w.Write([]byte(line))
	}
	w.Close(patience)
	if out.String() != want.String() {
		t.Error("lines are out of order, or missing")
	}
}
