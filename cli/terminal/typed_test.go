//go:build linux

package terminal_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"okteto/cli/terminal"
	"okteto/cli/tunnel"
	"okteto/cli/tunnel/tunneltest"
	"okteto/cli/ui"
)

// What is typed into a connection that is dead, before anybody knows, reaches the
// program when there is another connection: once, and in order. So does what the
// program had not read yet when the connection broke.
func TestWhatWasTypedIntoADeadConnectionIsSentAgain(t *testing.T) {
	for name, reads := range map[string]string{
		"a program that reads at once": "head -c $size >>got",
		"a program that reads slowly":  "while [ $(wc -c <got) -lt $size ]; do dd bs=700 count=1 status=none >>got; sleep 0.01; done",
	} {
		t.Run(name, func(t *testing.T) { typeThroughCuts(t, reads) })
	}
}

func typeThroughCuts(t *testing.T, reads string) {
	const lines, rounds = 4000, 5
	var all bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&all, "%06d\n", i)
	}
	server := tunneltest.Start(t)
	keyboard, hand := io.Pipe()
	var out buffer
	var typed atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	again := make(chan bool, 4*rounds)
	done := make(chan result, 1)
	go func() {
		code, err := terminal.Run(ctx, terminal.Options{
			Connect: server.Link(t).Interactive, TTY: true, ID: "typed",
			Streams: ui.Streams{In: keyboard, Out: &out, ErrOut: &out},
			Started: func(a bool) { again <- a },
			Command: fmt.Sprintf("size=%d; >got; stty raw -echo; echo ready; %s; echo all; sleep 60", all.Len(), reads),
		})
		done <- result{code: code, err: err}
	}()
	out.await(t, "ready")
	<-again
	go func() { // ends with the input, or with the reader's end
		defer hand.Close()
		for p := all.Bytes(); len(p) > 0 && ctx.Err() == nil; p = p[min(70, len(p)):] {
			n, err := hand.Write(p[:min(70, len(p))])
			typed.Add(int64(n))
			if err != nil {
				return
			}
			time.Sleep(time.Millisecond) // a fast hand
		}
		<-ctx.Done()
	}()
	reaches := func(n int64) {
		for typed.Load() < n && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	for i := range rounds {
		reaches(typed.Load() + 70) // the new connection is in use
		server.Block()             // takes what is typed, and passes nothing on
		reaches(int64(all.Len() * (i + 1) / (rounds + 1)))
		server.Restore() // for new connections
		server.Cut()
		<-again
	}
	out.await(t, "all")
	cancel()
	_ = keyboard.CloseWithError(context.Canceled)
	<-done
	got, err := os.ReadFile(filepath.Join(server.Dir, "got"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, all.Bytes()) {
		i := 0
		for i < len(got) && got[i] == all.Bytes()[i] {
			i++
		}
		t.Errorf("byte %d of %d is the first other one: %q", i, len(got), got[i:min(i+40, len(got))])
	}
}

// A terminal that is gone with its container gets nothing that was typed into it.
func TestANewTerminalGetsNothingOfTheOldOnes(t *testing.T) {
	first, next := tunneltest.Start(t), tunneltest.Start(t)
	var connects atomic.Int32
	keyboard, hand := io.Pipe()
	defer hand.Close()
	var out buffer
	done := make(chan result, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o := terminal.Options{TTY: true, ID: "terminal", Command: "stty raw -echo; echo ready; head -c 4 >got; echo all"}
	o.Streams = ui.Streams{In: keyboard, Out: &out, ErrOut: io.Discard}
	again := make(chan bool, 4)
	o.Started = func(a bool) { again <- a }
	links := []*tunnel.Link{first.Link(t), next.Link(t)}
	o.Connect = func(ctx context.Context) (*tunnel.Client, error) {
		return links[min(connects.Add(1)-1, 1)].Interactive(ctx)
	}
	go func() {
		code, err := terminal.Run(ctx, o)
		done <- result{code: code, err: err}
	}()
	out.await(t, "ready")
	<-again
	_, _ = hand.Write([]byte("old"))
	first.Cut()
	<-again
	_, _ = hand.Write([]byte("next"))
	if r := <-done; r.code != 0 || r.err != nil {
		t.Errorf("code %d, %v", r.code, r.err)
	}
	if got, err := os.ReadFile(filepath.Join(next.Dir, "got")); err != nil || string(got) != "next" {
		t.Errorf("the new program got %q, %v", got, err)
	}
}
