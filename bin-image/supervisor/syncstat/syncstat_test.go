package syncstat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"okteto/bin-image/supervisor/syncapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// daemon answers as Syncthing's REST interface does.
type daemon struct {
	mu        sync.Mutex // protects the following
	status    string
	events    []string
	connected bool
	asked     int
}

func (d *daemon) set(status string, events ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status, d.events = status, events
}

func (d *daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch r.URL.Path {
	case "/rest/db/status":
		d.asked++
		if d.status == "" {
			http.Error(w, "no such folder", http.StatusNotFound)
			return
		}
		fmt.Fprint(w, d.status)
	case "/rest/system/connections":
		fmt.Fprintf(w, `{"connections":{"A":{"connected":%v},"B":{"connected":false}}}`, d.connected)
	case "/rest/events":
		var since int
		_, _ = fmt.Sscan(r.URL.Query().Get("since"), &since)
		var batch []string
		for i, e := range d.events {
			if i+1 > since {
				batch = append(batch, fmt.Sprintf(`{"id":%d,%s`, i+1, e))
			}
		}
		if batch == nil {
			time.Sleep(time.Millisecond) // in place of the long poll
		}
		fmt.Fprintf(w, "[%s]", strings.Join(batch, ","))
	}
}

func serve(t *testing.T) (*daemon, *syncapi.Client, string) {
	t.Helper()
	d := &daemon{}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "config.xml")
	const config = `<configuration><folder id="okteto-1" path="/src"></folder><gui><apikey>k</apikey></gui></configuration>`
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	client := syncapi.NewClient(strings.TrimPrefix(server.URL, "http://"), path)
	t.Cleanup(client.Close)
	return d, client, path
}

func TestFolders(t *testing.T) {
	d, client, path := serve(t)
	ask := func() Folder {
		t.Helper()
		folders := NewSource(client, path).Folders(t.Context())
		if len(folders) != 1 {
			t.Fatalf("folders: %v", folders)
		}
		return folders[0]
	}
	if got := ask(); got.State != "unknown" || got.Path != "/src" {
		t.Errorf("daemon that does not know it: %+v", got)
	}
	d.set(`{"state":"error","pullErrors":0}`)
	if got := ask(); got.State != StateError {
		t.Errorf("stopped: %+v", got)
	}
	d.set(`{"state":"idle","pullErrors":3}`)
	source := NewSource(client, path)
	before := d.asked
	for range 10 {
		if got := source.Folders(t.Context())[0]; got.PullErrors != 3 {
			t.Errorf("errors: %+v", got)
		}
	}
	if d.asked != before+1 {
		t.Errorf("ten looks at once asked %d times", d.asked-before)
	}
	if got := NewSource(client, path+".absent").Folders(t.Context()); got != nil {
		t.Errorf("without a configuration: %v", got)
	}
}

type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestWatcher(t *testing.T) {
	d, client, _ := serve(t)
	log := &buffer{}
	w := NewWatcher(client, slog.New(slog.NewTextHandler(log, nil)))
	// The laptop connected before anybody listened, and its event comes all the same.
	d.connected = true
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Serve(ctx) }()
	d.set("",
		`"type":"DeviceConnected","data":{"id":"A"}}`,
		`"type":"StateChanged","data":{"folder":"okteto-1","from":"idle","to":"scanning"}}`,
		`"type":"FolderErrors","data":{"folder":"okteto-1","errors":[{"path":"a","error":"no space left"},{"path":"b","error":"x"},{"path":"c","error":"x"},{"path":"d","error":"x"}]}}`,
		`"type":"StateChanged","data":{"folder":"okteto-1","to":"error","error":"folder path missing"}}`,
		`"type":"FolderErrors","data":"of another shape"}`,
		`"type":"DeviceDisconnected","data":{"id":"A","error":"reset"}}`)
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(log.String(), "disconnected") {
		if time.Now().After(deadline) {
			t.Fatalf("log: %s", log)
		}
		time.Sleep(time.Millisecond)
	}
	for _, want := range []string{
		`level=INFO msg="laptop connected`, `level=ERROR msg="folder is stopped" folder=okteto-1 err="folder path missing"`,
		`level=WARN msg="item cannot be synchronized" folder=okteto-1 path=a err="no space left"`,
		`msg="more items cannot be synchronized" folder=okteto-1 count=1`,
	} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("the log has %q %d times", want, strings.Count(log.String(), want))
		}
	}
	for _, got := range []float64{testutil.ToFloat64(w.connects), testutil.ToFloat64(w.disconnects), testutil.ToFloat64(w.stops)} {
		if got != 1 {
			t.Errorf("counted %v times", got)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Serve: %v", err)
	}
}
