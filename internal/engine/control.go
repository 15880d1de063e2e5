package engine

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"time"
)

// Paths of the control interface, which the CLI's processes use to talk to the
// daemon. All want the API key in the header X-API-Key.
const (
	pathStatus    = "/okteto/status"
	pathPeer      = "/okteto/peer"
	pathMode      = "/okteto/mode"
	pathOverride  = "/okteto/override"
	pathFlush     = "/okteto/flush"
	pathResume    = "/okteto/resume"
	pathConflicts = "/okteto/conflicts"
	pathSettle    = "/okteto/settle"
)

// controlRequest is the body of a request; each path uses some fields.
type controlRequest struct {
	Folder   string `json:"folder,omitempty"`
	Peer     string `json:"peer,omitempty"`
	Address  string `json:"address,omitempty"`
	SendOnly bool   `json:"sendOnly,omitempty"`
	Sequence int64  `json:"sequence,omitempty"`
}

// ControlHandler serves the control interface to whoever has the key.
func (e *Engine) ControlHandler(apiKey string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathStatus, func(w http.ResponseWriter, _ *http.Request) { answer(w, e.Status(), nil) })
	mux.HandleFunc("GET "+pathConflicts, func(w http.ResponseWriter, _ *http.Request) {
		copies := map[string][]string{}
		for _, id := range e.order {
			copies[id] = e.Conflicts(id)
		}
		answer(w, copies, nil)
	})
	handle := func(path string, do func(context.Context, controlRequest) error) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var request controlRequest
			err := json.NewDecoder(r.Body).Decode(&request)
			if err == nil {
				err = do(r.Context(), request)
			}
			answer(w, struct{}{}, err)
		})
	}
	handle(pathPeer, func(_ context.Context, r controlRequest) error { return e.SetPeerAddress(r.Peer, r.Address) })
	handle(pathMode, func(ctx context.Context, r controlRequest) error { return e.SetSendOnly(ctx, r.Folder, r.SendOnly) })
	handle(pathOverride, func(_ context.Context, r controlRequest) error {
		e.Override(r.Folder)
		return nil
	})
	handle(pathFlush, func(ctx context.Context, r controlRequest) error { return e.Flush(ctx, r.Folder) })
	handle(pathSettle, func(ctx context.Context, r controlRequest) error { return e.Settle(ctx, r.Folder, r.Sequence) })
	handle(pathResume, func(ctx context.Context, r controlRequest) error { return e.Resume(ctx, r.Folder) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A browser page cannot set this header on another origin.
		if apiKey == "" || subtle.ConstantTimeCompare([]byte(r.Header.Get("X-API-Key")), []byte(apiKey)) != 1 {
			http.Error(w, "wrong API key", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, value any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// shutdownTimeout bounds the end of the control interface.
const shutdownTimeout = 2 * time.Second

// NewControlServer makes an HTTP server for the control interface.
func (e *Engine) NewControlServer(apiKey string) *http.Server {
	return &http.Server{Handler: e.ControlHandler(apiKey), ReadHeaderTimeout: shutdownTimeout}
}
