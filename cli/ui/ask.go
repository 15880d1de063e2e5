package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrNobody is returned by Ask when there is no terminal to ask at.
var ErrNobody = errors.New("nobody can be asked: standard input is not a terminal")

// Ask shows a question and returns the line that is typed, without spaces around
// it; the end of input is an empty answer. It ends with ctx, with what cancelled
// that as its error.
func Ask(ctx context.Context, s Streams, question string) (string, error) {
	if _, ok := Terminal(s.In); !ok {
		return "", ErrNobody
	}
	fmt.Fprint(s.ErrOut, question)
	type line struct {
		text string
		err  error
	}
	answer := make(chan line, 1)
	// A read cannot be interrupted; the process ends soon after ctx, and the
	// reader with it.
	go func() {
		text, err := readLine(s.In)
		answer <- line{text, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(s.ErrOut)
		return "", context.Cause(ctx)
	case got := <-answer:
		if got.err != nil && !errors.Is(got.err, io.EOF) {
			return "", fmt.Errorf("read the answer: %w", got.err)
		}
		return strings.TrimSpace(got.text), nil
	}
}

// readLine reads no byte beyond the line: the next one may be for a command.
func readLine(r io.Reader) (string, error) {
	var text []byte
	for one := make([]byte, 1); ; {
		n, err := r.Read(one)
		if n == 1 && one[0] == '\n' {
			return string(text), nil
		}
		text = append(text, one[:n]...)
		if err != nil {
			return string(text), err
		}
	}
}
