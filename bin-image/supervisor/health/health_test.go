package health

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestReadyz(t *testing.T) {
	checks := []Check{{Name: "a", OK: true, Message: "ok"}, {Name: "b", OK: true, Message: "idle"}}
	h := New(func(context.Context) []Check { return checks })
	ask := func(handler http.HandlerFunc) (int, string) {
		w := httptest.NewRecorder()
		handler(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return w.Code, w.Body.String()
	}
	if code, body := ask(h.Readyz); code != http.StatusOK || body != "[+]a ok\n[+]b idle\nreadyz check passed\n" {
		t.Errorf("all well: %d %q", code, body)
	}
	checks[1] = Check{Name: "b", Message: "exit code 1"}
	if code, body := ask(h.Readyz); code != http.StatusServiceUnavailable || body != "[+]a ok\n[-]b exit code 1\nreadyz check failed\n" {
		t.Errorf("one fails: %d %q", code, body)
	}
	checks[1].OK = true
	h.Stop()
	if code, body := ask(h.Readyz); code != http.StatusServiceUnavailable || body != "[+]a ok\n[+]b exit code 1\n[-]supervisor stopping\nreadyz check failed\n" {
		t.Errorf("stopping: %d %q", code, body)
	}
	if code, body := ask(h.Healthz); code != http.StatusOK || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
}
