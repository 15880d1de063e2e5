package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"okteto/bin-image/supervisor/child"
	"okteto/bin-image/supervisor/service"
)

func sources(foreign ...*Foreign) Sources {
	return Sources{
		Services: func() []service.Status {
			return []service.Status{
				{Name: "up", Phase: service.Ready, PID: 1, Started: time.Unix(100, 0), Restarts: 2, Exits: map[service.Reason]uint64{service.ReasonOOM: 1}},
				{Name: "down", Phase: service.Waiting, Last: &service.Ended{
					Reason: service.ReasonSignal, At: time.Unix(200, 0), Exit: child.Exit{Code: -1, Signal: 11},
				}},
			}
		},
		Orphans: func() uint64 { return 7 },
		Foreign: foreign,
	}
}

func page(text string, err error) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), err }
}

func TestServices(t *testing.T) {
	r := New(sources())
	want := `
# HELP okteto_service_restarts_total Starts of the service after its first one.
# TYPE okteto_service_restarts_total counter
okteto_service_restarts_total{service="down"} 0
okteto_service_restarts_total{service="up"} 2
# HELP okteto_service_ready Whether the service runs and answers.
# TYPE okteto_service_ready gauge
okteto_service_ready{service="down"} 0
okteto_service_ready{service="up"} 1
# HELP okteto_service_last_exit_code Exit code of the last end of the service, 128 plus the number of a signal; absent before the first.
# TYPE okteto_service_last_exit_code gauge
okteto_service_last_exit_code{service="down"} 139
`
	if err := testutil.GatherAndCompare(r.Gatherer(), strings.NewReader(want),
		"okteto_service_restarts_total", "okteto_service_ready", "okteto_service_last_exit_code"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(r.Gatherer())
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

// TestForeignPages: what a child exports is passed on as far as it may be, and
// nothing that it does wrong spoils the page.
func TestForeignPages(t *testing.T) {
	many := &strings.Builder{}
	for i := range 2 * maxSeries {
		fmt.Fprintf(many, "okteto_many{n=\"%d\"} 1\n", i)
	}
	for name, test := range map[string]struct {
		text string
		err  error
		up   float64
		has  string
		not  string
	}{
		"good":            {text: "okteto_x_total{kind=\"a\"} 3\n", up: 1, has: `okteto_x_total{kind="a"} 3`},
		"down":            {err: errors.New("connection refused"), not: "okteto_x_total"},
		"garbage":         {text: "<html>", not: "html"},
		"cut off":         {text: "okteto_x_total{kind=", not: "okteto_x_total"},
		"runtime":         {text: "go_goroutines 3\nprocess_open_fds 2\nokteto_x_total 1\n", up: 1, has: "okteto_x_total 1", not: "go_goroutines"},
		"a path":          {text: "okteto_x_total{root=\"/home/user\"} 3\nokteto_x_total{root=\"ok\"} 4\n", up: 1, has: `{root="ok"} 4`, not: "/home/user"},
		"too many":        {text: many.String(), up: 1, has: `okteto_many{n="1"} 1`, not: fmt.Sprintf(`n="%d"`, maxSeries)},
		"one of ours":     {text: "okteto_orphans_reaped_total 99\n", up: 1, has: "okteto_orphans_reaped_total 7", not: "99"},
		"syncthing's own": {text: "syncthing_fs_operations_total{root=\"/src\"} 3\n", up: 1, not: "syncthing_fs"},
	} {
		t.Run(name, func(t *testing.T) {
			r := New(sources(NewForeign("child", page(test.text, test.err), AsIs)))
			w := httptest.NewRecorder()
			r.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			body := w.Body.String()
			if w.Code != http.StatusOK {
				t.Fatalf("status %d: %s", w.Code, body)
			}
			for _, has := range []string{test.has, fmt.Sprintf(`okteto_service_metrics_up{service="child"} %v`, test.up), "okteto_build_info"} {
				if !strings.Contains(body, has) {
					t.Errorf("the page lacks %q", has)
				}
			}
			if test.not != "" && strings.Contains(body, test.not) {
				t.Errorf("the page has %q", test.not)
			}
		})
	}
}

func TestSlowPage(t *testing.T) {
	stuck := NewForeign("stuck", func(ctx context.Context) (io.ReadCloser, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, AsIs)
	quick := NewForeign("quick", page("okteto_x 1\n", nil), AsIs)
	families, err := New(sources(stuck, quick)).Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "okteto_x" {
			return
		}
	}
	t.Error("a page that does not come takes the others with it")
}

func TestTranslateSyncthing(t *testing.T) {
	text := `# TYPE syncthing_model_folder_processed_bytes_total counter
syncthing_model_folder_processed_bytes_total{folder="okteto-1",source="network"} 5
# TYPE syncthing_scanner_hashed_bytes_total counter
syncthing_scanner_hashed_bytes_total{folder="okteto-1",device="A"} 5
syncthing_scanner_hashed_bytes_total{folder="okteto-1",device="B"} 6
`
	r := New(sources(NewForeign("syncthing", page(text, nil), TranslateSyncthing)))
	want := `
# HELP okteto_sync_hashed_bytes_total Bytes of the folder hashed in the pod.
# TYPE okteto_sync_hashed_bytes_total counter
okteto_sync_hashed_bytes_total{folder="okteto-1"} 11
# HELP okteto_sync_processed_bytes_total Bytes written to the folder in the pod by where they came from: network, local_origin, local_other, local_shifted, skipped.
# TYPE okteto_sync_processed_bytes_total counter
okteto_sync_processed_bytes_total{folder="okteto-1",source="network"} 5
`
	if err := testutil.GatherAndCompare(r.Gatherer(), strings.NewReader(want),
		"okteto_sync_hashed_bytes_total", "okteto_sync_processed_bytes_total"); err != nil {
		t.Error(err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.sock")
	open := UnixSocket(path)
	if _, err := open(t.Context()); err == nil {
		t.Error("a socket that is not there answers")
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
		}
		_, _ = io.WriteString(w, "okteto_x 1\n")
	})}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	body, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, _ := io.ReadAll(body); string(got) != "okteto_x 1\n" {
		t.Errorf("page %q", got)
	}
}

// TestListener: silent connections do not keep a scraper out for long, a taken
// address is waited for, and the end is quick.
func TestListener(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := taken.Addr().String()
	l := &Listener{Address: address, Log: slog.New(slog.DiscardHandler), Handler: http.NotFoundHandler(), retry: 10 * time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.Serve(ctx) }()
	taken.Close()
	ask := func() error {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + address + "/")
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	deadline := time.Now().Add(20 * time.Second)
	for ask() != nil {
		if time.Now().After(deadline) {
			t.Fatal("never listens")
		}
		time.Sleep(5 * time.Millisecond)
	}
	for range maxConnections - 8 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if err := ask(); err != nil {
		t.Errorf("beside silent connections: %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Serve: %v", err)
	}
}
