// Package health answers on the pod network whether the pod works: /healthz says
// that the supervisor itself does, /readyz that everything it keeps does, with
// one line for each part, as the Kubernetes API server's endpoints of the same
// names do. The lines carry no path, name of a user's file, or key.
package health

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
)

// Check is one part of the answer.
type Check struct {
	Name string
	// OK, or what is wrong in Message.
	OK      bool
	Message string
}

// Handler serves /healthz and /readyz.
type Handler struct {
	checks   func(context.Context) []Check
	stopping atomic.Bool
}

// New handler; checks is asked at each request of /readyz.
func New(checks func(context.Context) []Check) *Handler { return &Handler{checks: checks} }

// Stop makes /readyz answer 503 from now on: the supervisor is ending.
func (h *Handler) Stop() { h.stopping.Store(true) }

// Healthz always answers 200: that it answers is the message.
func (h *Handler) Healthz(w http.ResponseWriter, _ *http.Request) {
	plain(w)
	fmt.Fprintln(w, "ok")
}

// Readyz answers 200 if all checks are OK, else 503.
func (h *Handler) Readyz(w http.ResponseWriter, r *http.Request) {
	checks := h.checks(r.Context())
	if h.stopping.Load() {
		checks = append(checks, Check{Name: "supervisor", Message: "stopping"})
	}
	var text strings.Builder
	ready := true
	for _, c := range checks {
		sign := "+"
		if !c.OK {
			sign, ready = "-", false
		}
		fmt.Fprintf(&text, "[%s]%s %s\n", sign, c.Name, c.Message)
	}
	plain(w)
	if ready {
		text.WriteString("readyz check passed\n")
	} else {
		w.WriteHeader(http.StatusServiceUnavailable)
		text.WriteString("readyz check failed\n")
	}
	fmt.Fprint(w, text.String())
}

func plain(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
}
