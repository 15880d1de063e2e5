package up

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"okteto/cli/ui"
	"okteto/cli/up"
)

// backgroundFlag marks the process that `up --detach` leaves behind. It tells its
// parent how it gets on with one JSON event per line on standard output, and
// closes that when it is ready.
const backgroundFlag = "background-process"

type event struct {
	// Kind is the name of a Reporter's method, or "failed".
	Kind    string      `json:"kind"`
	Text    string      `json:"text,omitempty"`
	Ready   *up.Info    `json:"ready,omitempty"`
	Problem *ui.Problem `json:"problem,omitempty"`
}

// detach starts this program again in the background and returns when that says
// that it is ready, or why it is not.
func detach(ctx context.Context, streams ui.Streams, args []string) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cut := len(args)
	if i := slices.Index(args, "--"); i >= 0 {
		cut = i
	}
	args = slices.Insert(slices.Clone(args), cut, "--"+backgroundFlag)
	child := exec.Command(program, args...)
	child.SysProcAttr = ownSession()
	out, in, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	defer out.Close()
	child.Stdout = in
	err = child.Start()
	if err := errors.Join(err, in.Close()); err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = interrupt(child.Process) })()

	progress := ui.NewProgress(streams.ErrOut)
	defer progress.Close()
	ended, err := relay(out, progress, func(info up.Info) {
		progress.Close()
		printReady(streams.ErrOut, info)
	})
	if ended || err != nil {
		if err != nil {
			progress.Fail()
		}
		if problem := (*ui.Problem)(nil); ctx.Err() != nil && errors.As(err, &problem) {
			problem.Code = ui.InterruptCode(ctx) // it was passed on as SIGINT, whatever it was
		}
		return err
	}
	_ = child.Wait() // it closed its output without a word
	if ctx.Err() != nil {
		return &ui.ExitError{Code: ui.InterruptCode(ctx)}
	}
	return &ui.Problem{
		Summary: "okteto up ended in the background without saying why",
		Detail:  child.ProcessState.String(),
		Hint:    "run okteto up without --detach to see more",
	}
}

// relay shows the events of a background process. ended says that it came to a
// result.
func relay(from io.Reader, progress *ui.Progress, ready func(up.Info)) (ended bool, err error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue // a library that prints is no reason to stop
		}
		switch e.Kind {
		case "step":
			progress.Step("%s", e.Text)
		case "update":
			progress.Update("%s", e.Text)
		case "measure":
			progress.Measure("%s", e.Text)
		case "done":
			progress.Done("%s", e.Text)
		case "note":
			progress.Note("%s", e.Text)
		case "warn":
			progress.Warn("%s", e.Text)
		case "ready":
			ready(*e.Ready)
			return true, nil
		case "failed":
			return true, e.Problem
		}
	}
	return false, nil
}

// background is the other end: it runs up with a reporter that tells the parent.
func background(ctx context.Context, streams ui.Streams, run func(context.Context, up.Options) error) error {
	report := &remoteReport{out: streams.Out}
	ignoreBrokenPipe() // the parent may be gone at any time
	err := run(ctx, up.Options{
		Detached: true, Report: report,
		Streams: ui.Streams{Out: io.Discard, ErrOut: io.Discard},
		Logged: func(log *os.File) {
			_ = debug.SetCrashOutput(log, debug.CrashOptions{})
			report.setLog(log)
		},
	})
	if err == nil {
		if ctx.Err() != nil {
			report.send(event{Kind: "failed", Problem: &ui.Problem{Summary: "interrupted"}})
		}
		return nil
	}
	problem := ui.Explain(err)
	problem.Detail = problem.Reason() // the cause stays here
	report.send(event{Kind: "failed", Problem: problem})
	return &ui.ExitError{Code: 1} // the parent prints it
}

// remoteReport sends what it is told to the parent, and to the log once the parent
// listens no more.
type remoteReport struct {
	mu  sync.Mutex // protects the following
	out io.Writer  // nil when the parent has been told the result
	log *os.File
}

func (r *remoteReport) setLog(log *os.File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = log
}

func (r *remoteReport) send(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.out == nil {
		if r.log != nil && e.Text != "" && e.Kind != "update" && e.Kind != "measure" {
			fmt.Fprintf(r.log, "time=%s level=INFO msg=%q kind=%s\n", time.Now().Format(time.RFC3339Nano), e.Text, e.Kind)
		}
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, _ = r.out.Write(append(line, '\n'))
	}
	if e.Kind == "ready" || e.Kind == "failed" {
		if c, ok := r.out.(io.Closer); ok {
			_ = c.Close()
		}
		r.out = nil
	}
}

func (r *remoteReport) Step(format string, args ...any) {
	r.send(event{Kind: "step", Text: fmt.Sprintf(format, args...)})
}

func (r *remoteReport) Update(format string, args ...any) {
	r.send(event{Kind: "update", Text: fmt.Sprintf(format, args...)})
}

func (r *remoteReport) Measure(format string, args ...any) {
	r.send(event{Kind: "measure", Text: fmt.Sprintf(format, args...)})
}

func (r *remoteReport) Done(format string, args ...any) {
	r.send(event{Kind: "done", Text: fmt.Sprintf(format, args...)})
}

func (r *remoteReport) Note(format string, args ...any) {
	r.send(event{Kind: "note", Text: fmt.Sprintf(format, args...)})
}

func (r *remoteReport) Warn(format string, args ...any) {
	r.send(event{Kind: "warn", Text: fmt.Sprintf(format, args...)})
}

func (r *remoteReport) Ready(info up.Info) { r.send(event{Kind: "ready", Ready: &info}) }
