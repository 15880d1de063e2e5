// Package ui is how the CLI speaks: the three streams handed down to every
// command, the one kind of error that people see, and progress that is live on
// a terminal and plain lines everywhere else.
package ui

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Streams are a command's standard streams. Tests hand down buffers.
type Streams struct {
	In          io.Reader
	Out, ErrOut io.Writer
}

// System returns the process's own streams.
func System() Streams {
	return Streams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
}

// Terminal reports the file behind a stream if it is a terminal.
func Terminal(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, false
	}
	return f, true
}

// Lively reports whether lines on w may be redrawn and coloured: it is a
// terminal that understands it (TERM is not "dumb").
func Lively(w io.Writer) bool {
	_, ok := Terminal(w)
	return ok && os.Getenv("TERM") != "dumb"
}

// Problem is an error for people: what failed and on what, what is known about
// it, and what to do next. Commands return it, Print shows it.
type Problem struct {
	// Summary is one lower-case sentence without a full stop: what failed, on
	// what.
	Summary string `json:"summary"`
	// Detail may be several lines: the reason, or the last lines of a log.
	Detail string `json:"detail,omitempty"`
	// Hint says what to do next.
	Hint string `json:"hint,omitempty"`
	// Cause is the underlying error, for errors.Is and errors.As. It is printed
	// only when Detail is empty.
	Cause error `json:"-"`
	// Code is the exit code; 0 is the usual 1.
	Code int `json:"code,omitempty"`
}

// Error joins summary and reason in one line, as a log wants it.
func (p *Problem) Error() string {
	if reason := p.Reason(); reason != "" {
		return p.Summary + ": " + reason
	}
	return p.Summary
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Reason is the detail, or else what the cause says.
func (p *Problem) Reason() string {
	if p.Detail != "" {
		return p.Detail
	}
	if p.Cause != nil {
		return p.Cause.Error()
	}
	return ""
}

// ExitError ends the process with a code of its own and without a message: the
// code of a command that ran in the pod.
type ExitError struct{ Code int }

// Error is for logs only.
func (e *ExitError) Error() string { return fmt.Sprintf("exit code %d", e.Code) }

// Print shows err on w: a Problem with its parts, any other error as one line,
// an ExitError not at all.
func Print(w io.Writer, err error) {
	if exit := (*ExitError)(nil); err == nil || errors.As(err, &exit) {
		return
	}
	paint := painter(Lively(w) && os.Getenv("NO_COLOR") == "")
	problem := Explain(err)
	fmt.Fprintf(w, "%s %s\n", paint(red, "error:"), problem.Summary)
	for _, line := range lines(problem.Reason()) {
		fmt.Fprintf(w, "  %s\n", line)
	}
	for i, line := range lines(problem.Hint) {
		if i == 0 {
			fmt.Fprintf(w, "%s %s\n", paint(cyan, "hint:"), line)
			continue
		}
		fmt.Fprintf(w, "      %s\n", line)
	}
}

func lines(s string) []string {
	s = strings.TrimRight(s, "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// SGR parameters (ECMA-48 8.3.117).
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func painter(colour bool) func(code, text string) string {
	return func(code, text string) string {
		if !colour {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
}

// Bytes writes a number of bytes for people, in binary units.
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}

// Paragraph prints text after a label, and its further lines below the first.
func Paragraph(w io.Writer, label, text string) {
	indent := strings.Repeat(" ", len([]rune(label)))
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if i > 0 {
			label = indent
		}
		fmt.Fprintf(w, "%s %s\n", label, line)
	}
}
