package ui

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// spinnerPeriod is how often the mark of a running step turns.
const spinnerPeriod = 100 * time.Millisecond

// Progress shows steps that follow one another. On a terminal the running step
// is one line that is redrawn; elsewhere a step is a line when it begins, and
// another for each update that says something new.
type Progress struct {
	w      io.Writer
	paint  func(code, text string) string
	lively bool
	width  func() int

	mu sync.Mutex // protects the following
	// step and detail are the running step; step is empty between steps.
	step, detail string
	last         string    // the last plain line, so that it is not repeated
	measured     time.Time // when a plain line last said how far the step is
	frame        int
	stop         chan struct{} // ends the spinner
	stopped      chan struct{}
}

// NewProgress shows steps on w until Close.
func NewProgress(w io.Writer) *Progress {
	p := &Progress{w: w, lively: Lively(w)}
	p.paint = painter(p.lively && os.Getenv("NO_COLOR") == "")
	p.width = func() int {
		if f, ok := Terminal(w); ok {
			if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
				return columns
			}
		}
		return 80
	}
	return p
}

// Step begins a step. A step that runs already is finished first.
func (p *Progress) Step(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish(green, "✓", "")
	p.step, p.detail = fmt.Sprintf(format, args...), ""
	p.measured = time.Now()
	if !p.lively {
		p.plain(p.step)
		return
	}
	p.draw()
	p.spin()
}

// Update says how far the running step is. Off a terminal each text is printed
// once, so callers may report as often as they like.
func (p *Progress) Update(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.detail = fmt.Sprintf(format, args...)
	if p.lively {
		p.draw()
		return
	}
	p.plain("  " + p.detail)
}

// measurePause is how often a plain line says how far a step is: often enough to
// see that it goes on, in a log that is read later.
const measurePause = 10 * time.Second

// Measure is Update for numbers that change all the time. Off a terminal it prints
// one of many.
func (p *Progress) Measure(format string, args ...any) {
	p.mu.Lock()
	now := time.Now()
	skip := !p.lively && now.Sub(p.measured) < measurePause
	if !skip {
		p.measured = now
	}
	p.mu.Unlock()
	if !skip {
		p.Update(format, args...)
	}
}

// Done finishes the running step, with text in place of its own if there is
// any.
func (p *Progress) Done(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish(green, "✓", fmt.Sprintf(format, args...))
}

// Fail finishes the running step as failed.
func (p *Progress) Fail() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish(red, "✗", "")
}

// Note prints a line that stays, above the running step.
func (p *Progress) Note(format string, args ...any) { p.line(cyan, "i", fmt.Sprintf(format, args...)) }

// Warn prints a warning that stays, above the running step.
func (p *Progress) Warn(format string, args ...any) {
	p.line(yellow, "!", fmt.Sprintf(format, args...))
}

// Close finishes the running step and ends the spinner.
func (p *Progress) Close() {
	p.mu.Lock()
	p.finish(green, "✓", "")
	stop, stopped := p.stop, p.stopped
	p.stop = nil
	p.mu.Unlock()
	if stop != nil {
		close(stop)
		<-stopped
	}
}

func (p *Progress) line(code, mark, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(p.w, "%s %s\n", p.paint(code, mark), text)
	p.last = ""
	p.draw()
}

func (p *Progress) finish(code, mark, text string) {
	if p.step == "" {
		return
	}
	if text == "" {
		text = p.step
	}
	step := p.step
	p.step, p.detail = "", ""
	if p.lively {
		p.erase()
		fmt.Fprintf(p.w, "%s %s\n", p.paint(code, mark), text)
		return
	}
	if text != step {
		p.plain(text)
	}
}

func (p *Progress) plain(text string) {
	if text == p.last {
		return
	}
	p.last = text
	fmt.Fprintln(p.w, text)
}

// draw puts the running step on the current line, cut to the terminal's width
// so that it stays one line.
func (p *Progress) draw() {
	if !p.lively || p.step == "" {
		return
	}
	text := p.step
	if p.detail != "" {
		text += " · " + p.detail
	}
	if room := p.width() - 4; room > 0 {
		if runes := []rune(text); len(runes) > room {
			text = string(runes[:room-1]) + "…"
		}
	}
	frames := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	p.erase()
	fmt.Fprintf(p.w, "%s %s", p.paint(cyan, string(frames[p.frame%len(frames)])), text)
}

func (p *Progress) clear() {
	if p.lively && p.step != "" {
		p.erase()
	}
}

// erase clears the current line (ECMA-48 EL) and returns to its start.
func (p *Progress) erase() { fmt.Fprint(p.w, "\r\x1b[2K") }

func (p *Progress) spin() {
	if p.stop != nil {
		return
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	p.stop, p.stopped = stop, stopped
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(spinnerPeriod)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				p.mu.Lock()
				p.frame++
				p.draw()
				p.mu.Unlock()
			}
		}
	}()
}
