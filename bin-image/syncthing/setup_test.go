package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"okteto/internal/contract"
	"okteto/internal/engine"
	"okteto/internal/identity"
)

// TestMain lets the test program be the daemon.
func TestMain(m *testing.M) {
	if os.Getenv("OKTETO_TEST_DAEMON") != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		o, err := parse(os.Args[1:], os.Stderr)
		if err == nil {
			err = Run(ctx, o)
		}
		os.Exit(report(os.Stderr, err))
	}
	os.Exit(m.Run())
}

// originalConfig is config.xml as the original CLI writes it (version 32, head
// of 2026; older ones differ in what is marked).
const originalConfig = `<configuration version="VERSION">
<folder id="okteto-1" label="1" path="FOLDER" type="sendreceive" rescanIntervalS="300" fsWatcherEnabled="true" fsWatcherDelayS="1" ignorePerms="false" autoNormalize="true">
  <filesystemType>basic</filesystemType>
  <device id="LOCAL" introducedBy=""></device>
  <device id="REMOTE" introducedBy=""></device>
  <minDiskFree unit="%">1</minDiskFree>
  <versioning></versioning>
  <copiers>0</copiers><pullerMaxPendingKiB>0</pullerMaxPendingKiB><hashers>0</hashers>
  <order>random</order><ignoreDelete>false</ignoreDelete><scanProgressIntervalS>1</scanProgressIntervalS>
  <pullerPauseS>0</pullerPauseS><maxConflicts>0</maxConflicts>
  <disableSparseFiles>false</disableSparseFiles><disableTempIndexes>false</disableTempIndexes>
  <paused>false</paused><weakHashThresholdPct>25</weakHashThresholdPct>
  <markerName>.</markerName><useLargeBlocks>false</useLargeBlocks><copyRangeMethod>all</copyRangeMethod>
  <disableFsync>true</disableFsync>
</folder>
<device id="LOCAL" name="local" compression="metadata" introducer="false" skipIntroductionRemovals="false" introducedBy="">
  <address>dynamic</address><paused>false</paused><autoAcceptFolders>false</autoAcceptFolders>
  <maxSendKbps>0</maxSendKbps><maxRecvKbps>0</maxRecvKbps><maxRequestKiB>0</maxRequestKiB>
</device>
<device id="REMOTE" name="remote" compression="metadata" introducer="false" skipIntroductionRemovals="false" introducedBy="">
  <address>dynamic</address><paused>false</paused><autoAcceptFolders>false</autoAcceptFolders>
</device>
<gui enabled="true" tls="false" debugging="false">
  <address>localhost:45123</address><apikey>cnd</apikey><user>okteto</user>
  <password>$2a$10$0123456789012345678901uJbzxh6WkzvWqVYcoyyIpb3iXnRIOIq</password><theme>default</theme>
</gui>
<ldap></ldap>
<options>
  <globalAnnounceEnabled>true</globalAnnounceEnabled><localAnnounceEnabled>true</localAnnounceEnabled>
  <relaysEnabled>true</relaysEnabled><natEnabled>true</natEnabled><reconnectionIntervalS>1</reconnectionIntervalS>
  <startBrowser>false</startBrowser><urAccepted>-1</urAccepted><autoUpgradeIntervalH>12</autoUpgradeIntervalH>
  <minHomeDiskFree unit="%">1</minHomeDiskFree><crashReportingEnabled>true</crashReportingEnabled>
</options>
</configuration>`

// daemon is the pod's end as the contract places it, in a process of its own.
type daemon struct {
	t                  *testing.T
	home, data, folder string
	identity           identity.Environment
	listen, gui        string
	process            *exec.Cmd
	log                *bytes.Buffer
	ended              chan struct{} // closed when the process is gone
}

func newDaemon(t *testing.T, version int) *daemon {
	t.Helper()
	id, err := identity.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	d := &daemon{t: t, home: filepath.Join(base, "syncthing"), data: filepath.Join(base, "syncthing/data"), folder: filepath.Join(base, "not/there/yet"), identity: id}
	if err := os.MkdirAll(d.home, 0o700); err != nil {
		t.Fatal(err)
	}
	local, _ := id.LocalDeviceID()
	remote, _ := id.RemoteDeviceID()
	config := strings.NewReplacer("VERSION", fmt.Sprint(version), "FOLDER", d.folder, "LOCAL", local, "REMOTE", remote).Replace(originalConfig)
	for name, content := range map[string][]byte{
		contract.SyncthingConfigFile: []byte(config),
		contract.SyncthingCertFile:   id.RemoteCert,
		contract.SyncthingKeyFile:    id.RemoteKey,
	} {
		if err := os.WriteFile(filepath.Join(d.home, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.listen, d.gui = freePort(t), freePort(t)
	return d
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (d *daemon) start(extra ...string) {
	d.t.Helper()
	d.process = exec.Command(os.Args[0], append([]string{"--config", d.home, "--data", d.data, "--listen-address", d.listen, "--gui-address", d.gui}, extra...)...)
	d.process.Env = append(os.Environ(), "OKTETO_TEST_DAEMON=1")
	d.log = &bytes.Buffer{}
	d.process.Stdout, d.process.Stderr = d.log, d.log
	if err := d.process.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan struct{})
	d.ended = ended
	process := d.process
	go func() {
		defer close(ended)
		_ = process.Wait()
	}()
	d.t.Cleanup(func() {
		_ = process.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	eventually(d.t, "REST interface", func() bool {
		response, err := http.Get("http://" + d.gui + "/rest/noauth/health")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

func (d *daemon) get(path, host string, into any) int {
	d.t.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://"+d.gui+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("X-API-Key", contract.OriginalAPIKey)
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(content, into); err != nil {
			d.t.Fatalf("%s: %v: %s", path, err, content)
		}
	}
	return response.StatusCode
}

// laptop runs the other end in this process.
func (d *daemon) laptop(dir string) *engine.Engine {
	d.t.Helper()
	cert, err := tls.X509KeyPair(d.identity.LocalCert, d.identity.LocalKey)
	if err != nil {
		d.t.Fatal(err)
	}
	remote, _ := d.identity.RemoteDeviceID()
	e, err := engine.New(engine.Config{
		Home: d.t.TempDir(), Certificate: cert, Peers: []engine.Peer{{ID: remote, Address: d.listen}},
		Folders: []engine.Folder{{ID: "okteto-1", Path: dir, Marker: "."}},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Serve(ctx) }()
	d.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			d.t.Error(err)
		}
	})
	return e
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

func has(path, want string) bool {
	got, err := os.ReadFile(path)
	return err == nil && string(got) == want
}
