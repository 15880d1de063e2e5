package up

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"okteto/cli/terminal"
	"okteto/cli/ui"
	"okteto/cli/up"
)

// foreground reports to the user's terminal. Once the command has the terminal,
// lines begin at its left edge although it is in raw mode.
type foreground struct {
	*ui.Progress
	out io.Writer
	raw *rawLines
}

func newForeground(streams ui.Streams) *foreground {
	raw := &rawLines{w: streams.ErrOut}
	f := &foreground{Progress: ui.NewProgress(streams.ErrOut), out: streams.ErrOut, raw: raw}
	if terminal.Interactive(streams) {
		f.raw.interactive = true
	}
	return f
}

func (f *foreground) Step(format string, args ...any) {
	if f.raw.on.Load() {
		f.raw.line("i", format, args...)
		return
	}
	f.Progress.Step(format, args...)
}

func (f *foreground) Update(format string, args ...any) {
	if !f.raw.on.Load() {
		f.Progress.Update(format, args...)
	}
}

func (f *foreground) Measure(format string, args ...any) {
	if !f.raw.on.Load() {
		f.Progress.Measure(format, args...)
	}
}

func (f *foreground) Note(format string, args ...any) {
	if f.raw.on.Load() {
		f.raw.line("i", format, args...)
		return
	}
	f.Progress.Note(format, args...)
}

func (f *foreground) Warn(format string, args ...any) {
	if f.raw.on.Load() {
		f.raw.line("!", format, args...)
		return
	}
	f.Progress.Warn(format, args...)
}

func (f *foreground) Ready(info up.Info) {
	f.Progress.Close()
	printReady(f.out, info)
	f.raw.on.Store(f.raw.interactive)
}

// rawLines writes whole lines on a terminal that another program writes on.
type rawLines struct {
	w           io.Writer
	interactive bool
	on          atomic.Bool
}

func (r *rawLines) line(mark, format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\r\n  ")
	fmt.Fprintf(r.w, "\r\n%s %s\r\n", mark, text)
}

func printReady(w io.Writer, info up.Info) {
	fmt.Fprintf(w, "\n  %-11s %s in %s (context %s)\n", "Ready", info.Name, info.Namespace, info.Context)
	for i, line := range info.Forwards {
		fmt.Fprintf(w, "  %-11s %s\n", label(i, "Forward"), line)
	}
	for i, line := range info.Reverses {
		fmt.Fprintf(w, "  %-11s %s\n", label(i, "Reverse"), line)
	}
	if info.SSHHost != "" {
		fmt.Fprintf(w, "  %-11s ssh %s\n", "SSH", info.SSHHost)
	}
	fmt.Fprintln(w)
}

func label(i int, text string) string {
	if i > 0 {
		return ""
	}
	return text
}
