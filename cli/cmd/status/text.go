package status

import (
	"fmt"
	"io"
	"time"

	filesync "okteto/cli/sync"
	"okteto/cli/ui"
	"okteto/internal/contract"
	"okteto/internal/engine"
)

// writer prints a report for people.
type writer struct {
	w   io.Writer
	err error
}

func (t *writer) line(label, format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, "%-11s %s\n", label, fmt.Sprintf(format, args...))
	}
}

func (t *writer) report(r *Report) {
	t.line("Name", "%s in %s (context %s)", r.Name, r.Namespace, r.Context)
	t.up(r)
	t.pod(r)
	if r.Sync != nil {
		t.sync(r.Sync)
	}
}

func (t *writer) up(r *Report) {
	switch {
	case r.Up == nil && r.Pod != nil && r.Pod.Phase == terminating:
		t.line("State", "not in development mode any more; its pod is ending")
	case r.Up == nil && r.Pod != nil:
		t.line("State", "in development mode, but no okteto up runs here; okteto up attaches")
	case r.Up == nil:
		t.line("State", "not in development mode; okteto up starts it")
	default:
		how := "in a terminal"
		if r.Up.Detached {
			how = "in the background"
		}
		word := r.State
		if word == "" {
			word = contract.StateActivating
		}
		t.line("State", "%s (okteto up %s, process %d)", word, how, r.Up.PID)
	}
}

func (t *writer) pod(r *Report) {
	switch {
	case r.ClusterError != "":
		t.line("Pod", "unknown: %s", r.ClusterError)
	case r.Pod == nil:
	default:
		text := r.Pod.Phase
		if r.Pod.Node != "" {
			text += " on " + r.Pod.Node
		}
		if !r.Pod.Started.IsZero() {
			text += fmt.Sprintf(" for %s", time.Since(r.Pod.Started).Round(time.Second))
		}
		if r.Pod.Restarts > 0 {
			text += fmt.Sprintf(", %d restarts", r.Pod.Restarts)
		}
		t.line("Pod", "%s, %s", r.Pod.Name, text)
		if r.Pod.Reason != "" {
			t.line("", "waits: %s", r.Pod.Reason)
		}
	}
}

func (t *writer) sync(s *filesync.Status) {
	if !s.Connected {
		t.line("Files", "not connected to the pod")
	}
	for _, f := range s.Folders {
		t.line("Files", "%s: %s", f.Path, folder(f, s.Connected))
		if f.Error != "" {
			t.line("", "%s", f.Error)
		}
		if f.State == engine.StateStopped {
			t.line("", "if that is right, go on with: okteto sync resume")
		}
		for _, item := range f.Errors {
			t.line("", "%s: %s", item.Path, item.Err)
		}
		if more := f.ErrorCount - len(f.Errors); more > 0 {
			t.line("", "and %d more", more)
		}
		if f.SkippedCount > 0 {
			t.line("", "not synchronized: sockets, named pipes and devices, %d, such as %s", f.SkippedCount, f.Skipped[0].Path)
		}
	}
	t.line("Traffic", "%s sent, %s received", ui.Bytes(s.OutBytes), ui.Bytes(s.InBytes))
}

// folder says in one line how a folder is.
func folder(f engine.FolderStatus, connected bool) string {
	text := ""
	switch {
	case f.State != "idle":
		text = f.State
	case !connected:
		text = "waiting for the pod"
	case f.Here.Done() && f.There.Done():
		text = "in sync"
	default:
		text = "synchronizing"
	}
	text += fmt.Sprintf(", %d files, %s", f.Files, ui.Bytes(f.Bytes))
	if n := f.There.NeedItems + f.There.NeedDeletes; n > 0 {
		text += fmt.Sprintf("; to the pod: %d (%s)", n, ui.Bytes(f.There.NeedBytes))
	}
	if n := f.Here.NeedItems + f.Here.NeedDeletes; n > 0 {
		text += fmt.Sprintf("; from the pod: %d (%s)", n, ui.Bytes(f.Here.NeedBytes))
	}
	if f.Conflicts > 0 {
		text += fmt.Sprintf("; %d conflict copies", f.Conflicts)
	}
	if !f.LastSync.IsZero() {
		text += fmt.Sprintf("; last change %s ago", time.Since(f.LastSync).Round(time.Second))
	}
	return text
}
