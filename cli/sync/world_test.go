//go:build linux

package sync

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"okteto/internal/contract"
	"okteto/internal/engine"
	"okteto/internal/identity"
)

// TestMain lets the test program be the okteto that Start runs.
func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == "syncthing" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err := Serve(ctx, ServeOptions{Home: os.Args[3], Parent: os.Stdin, Ready: os.Stdout, Log: os.Stderr})
		if err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	if home := os.Getenv("OKTETO_TEST_POD"); home != "" {
		testPod(home)
	}
	if home := os.Getenv("OKTETO_TEST_PARENT"); home != "" {
		testParent()
	}
	os.Exit(m.Run())
}

// world is a laptop and a pod on this machine.
type world struct {
	t        *testing.T
	identity identity.Environment
	home     string
	laptop   string
	pod      string
	podHome  string
	podStop  func()
	podAddr  string
	podAPI   string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	id, err := identity.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	w := &world{
		t: t, identity: id, home: filepath.Join(base, "home"), laptop: filepath.Join(base, "laptop"),
		pod: filepath.Join(base, "pod"), podHome: filepath.Join(base, "podhome"), podAddr: "127.0.0.1:0",
	}
	for _, dir := range []string{w.home, w.laptop, w.pod, w.podHome} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) folders() []Folder {
	return []Folder{{ID: "okteto-1", LocalPath: w.laptop, RemotePath: w.pod}}
}

// writePodFiles does what start.sh does with the Secret.
func (w *world) writePodFiles() {
	w.t.Helper()
	files, err := PodFiles(PodOptions{Identity: w.identity, Folders: w.folders()})
	if err != nil {
		w.t.Fatal(err)
	}
	for name, content := range files {
		content = bytes.ReplaceAll(content, []byte(contract.TrashDir), []byte(filepath.Join(w.podHome, "trash")))
		if err := os.WriteFile(filepath.Join(w.podHome, name), content, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
}

// startPod runs the pod's end from the files of the Secret.
func (w *world) startPod() {
	w.t.Helper()
	w.writePodFiles()
	gui, err := freeAddress()
	if err != nil {
		w.t.Fatal(err)
	}
	w.podAPI = gui
	config, err := engine.FromXML(engine.XMLOptions{Home: w.podHome, DataDir: w.podHome, ListenAddress: w.podAddr, GUIAddress: gui})
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := engine.New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.podAddr = e.ListenAddress()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Serve(ctx) }()
	ended := false
	w.podStop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("pod's engine: %v", err)
		}
	}
	w.t.Cleanup(w.podStop)
}

func (w *world) options() Options {
	return Options{Home: w.home, Identity: w.identity, Folders: w.folders(), PeerAddress: w.podAddr, RemoteAPIAddress: w.podAPI}
}

func (w *world) start() *Daemon {
	w.t.Helper()
	d, err := Start(w.t.Context(), w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			w.t.Error(err)
		}
	})
	return d
}

func (w *world) synced(d *Daemon) Progress {
	w.t.Helper()
	var last Progress
	if err := d.WaitSynced(w.t.Context(), func(p Progress) { last = p }); err != nil {
		log, _ := os.ReadFile(filepath.Join(w.home, contract.SyncthingLogFile))
		w.t.Fatalf("%v\n%s", err, log)
	}
	return last
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func content(path string) string {
	got, err := os.ReadFile(path)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(got)
}

const patience = 60 * time.Second

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("after %v still not: %s", patience, what)
}

// testParent is an `up` that is killed: it starts a daemon and waits for ever.
func testParent() {
	id, err := identity.FromSecret(readParentSecret())
	if err == nil {
		_, err = Start(context.Background(), Options{
			Home: os.Getenv("OKTETO_TEST_PARENT"), Identity: id, PeerAddress: os.Getenv("OKTETO_TEST_PEER"),
			Folders: []Folder{{ID: "okteto-1", LocalPath: os.Getenv("OKTETO_TEST_DIR"), RemotePath: "/app"}},
		})
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	select {}
}

func readParentSecret() map[string][]byte {
	data := map[string][]byte{}
	dir := os.Getenv("OKTETO_TEST_SECRET")
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		data[entry.Name()], _ = os.ReadFile(filepath.Join(dir, entry.Name()))
	}
	return data
}
