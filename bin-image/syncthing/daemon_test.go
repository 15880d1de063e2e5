package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
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

	"github.com/syncthing/syncthing/lib/protocol"

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

// TestOriginalConfigurationOfAllEras runs what CLIs from 2020 to today write.
func TestOriginalConfigurationOfAllEras(t *testing.T) {
	for _, version := range []int{26, 28, 32, 37} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			d := newDaemon(t, version)
			d.start()
			laptop := t.TempDir()
			if err := os.WriteFile(filepath.Join(laptop, "file"), []byte("x"), 0o755); err != nil {
				t.Fatal(err)
			}
			d.laptop(laptop)
			eventually(t, "file in a root that did not exist", func() bool { return has(filepath.Join(d.folder, "file"), "x") })
			if err := os.WriteFile(filepath.Join(d.folder, "back"), []byte("y"), 0o644); err != nil {
				t.Fatal(err)
			}
			eventually(t, "file from the pod", func() bool { return has(filepath.Join(laptop, "back"), "y") })
			if _, err := os.Lstat(filepath.Join(d.folder, ".stfolder")); !os.IsNotExist(err) {
				t.Error("a marker appeared that the configuration does not ask for")
			}
		})
	}
}

// The original CLI asks for the last StateChanged once, after the first scan,
// and without an answer takes the folder to be scanning.
func TestFirstScanIsSeenByTheOriginalCLI(t *testing.T) {
	d := newDaemon(t, 32)
	d.start()
	eventually(t, "first scan", func() bool {
		var status struct{ State string }
		return d.get("/rest/db/status?folder=okteto-1", "", &status) == http.StatusOK && status.State == "idle"
	})
	var events []struct {
		Type string
		Data struct{ Folder, To string }
	}
	d.get("/rest/events?folder=okteto-1&since=0&limit=1&timeout=0&events=StateChanged", "", &events)
	if len(events) != 1 || events[0].Data.Folder != "okteto-1" || events[0].Data.To != "idle" {
		t.Errorf("events: %+v", events)
	}
}

// The interface that the original CLI binds may be named by any host.
func TestRESTAnswersAnyHostButWantsTheKey(t *testing.T) {
	d := newDaemon(t, 32)
	d.start()
	for _, host := range []string{"", "0.0.0.0:1234", "localhost:45123", "example.org"} {
		var pong struct{ Ping string }
		if status := d.get("/rest/system/ping", host, &pong); status != http.StatusOK || pong.Ping != "pong" {
			t.Errorf("host %q: %d %v", host, status, pong)
		}
	}
	response, err := http.Get("http://" + d.gui + "/rest/system/config")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode == http.StatusOK {
		t.Error("the configuration was given without the key")
	}
}

func TestNothingListensBesidesTheTwoAddresses(t *testing.T) {
	d := newDaemon(t, 32)
	d.start()
	found := map[string]bool{}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", d.process.Process.Pid, table))
		if err != nil {
			t.Skip("needs /proc")
		}
		for _, line := range strings.Split(string(content), "\n")[1:] {
			fields := strings.Fields(line)
			if len(fields) > 9 && (fields[3] == "0A" || strings.HasPrefix(table, "udp")) && ownsSocket(d.process.Process.Pid, fields[9]) {
				found[table+" "+fields[1]] = true
			}
		}
	}
	if len(found) != 2 {
		t.Errorf("sockets: %v, want the two of loopback", found)
	}
	for socket := range found {
		if !strings.HasPrefix(socket, "tcp 0100007F:") {
			t.Errorf("%s is not loopback", socket)
		}
	}
}

func ownsSocket(pid int, inode string) bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if target, _ := os.Readlink(fd); target == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}

func TestMetricsAreServed(t *testing.T) {
	d := newDaemon(t, 32)
	d.start()
	response, err := http.Get("http://" + d.gui + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, series := range []string{
		`okteto_sync_state{folder="okteto-1"} `, `okteto_sync_connected 0`, `okteto_sync_conflicts_total{folder="okteto-1"} 0`,
		`okteto_sync_propagation_seconds_count{direction="in",folder="okteto-1"} 0`, `okteto_sync_database_bytes `,
	} {
		if !strings.Contains(string(content), series) {
			t.Errorf("no series %s", series)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("needs promtool (Debian: prometheus)")
	}
	var ours bytes.Buffer
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, "okteto_") {
			ours.WriteString(line)
		}
	}
	lint := exec.Command(promtool, "check", "metrics")
	lint.Stdin = &ours
	if out, err := lint.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v: %s", err, out)
	}
}

func TestRestartAndResetKeepFiles(t *testing.T) {
	d := newDaemon(t, 32)
	d.start()
	laptop := t.TempDir()
	for i := range 50 {
		if err := os.WriteFile(filepath.Join(laptop, fmt.Sprint(i)), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d.laptop(laptop)
	eventually(t, "all files", func() bool { return has(filepath.Join(d.folder, "49"), "x") && has(filepath.Join(d.folder, "0"), "x") })
	for _, extra := range [][]string{nil, {"--reset-database"}} {
		_ = d.process.Process.Kill()
		eventually(t, "end of the killed daemon", func() bool {
			_, err := net.DialTimeout("tcp", d.listen, time.Second)
			return err != nil
		})
		d.start(extra...)
		name := "after" + strings.Join(extra, "")
		if err := os.WriteFile(filepath.Join(laptop, name), []byte("y"), 0o644); err != nil {
			t.Fatal(err)
		}
		eventually(t, "file after a restart", func() bool { return has(filepath.Join(d.folder, name), "y") })
	}
	left, err := os.ReadDir(laptop)
	if err != nil || len(left) != 52 {
		t.Errorf("%d files left, %v", len(left), err)
	}
}

func TestDamagedFilesAreNamed(t *testing.T) {
	for _, name := range []string{contract.SyncthingConfigFile, contract.SyncthingCertFile} {
		d := newDaemon(t, 32)
		if err := os.WriteFile(filepath.Join(d.home, name), []byte("garbage"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := Run(t.Context(), Options{Config: d.home, Data: d.data, ListenAddress: d.listen, GUIAddress: d.gui})
		if err == nil || !strings.Contains(err.Error(), d.home) {
			t.Errorf("%s: error %v does not say where", name, err)
		}
	}
	d := newDaemon(t, 99)
	err := Run(t.Context(), Options{Config: d.home, Data: d.data, ListenAddress: d.listen, GUIAddress: d.gui})
	if err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("configuration of the future: %v", err)
	}
}

// A peer with another certificate is refused.
func TestForeignCertificateIsRefused(t *testing.T) {
	d := newDaemon(t, 32)
	d.start()
	other, err := identity.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(other.LocalCert, other.LocalKey)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", d.listen, &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true, NextProtos: []string{"bep/1.0"}, MinVersion: tls.VersionTLS13})
	if err != nil {
		return // refused in the handshake: as good
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	hello, err := protocol.ExchangeHello(conn, protocol.Hello{ClientName: "x", Timestamp: 1})
	if err == nil {
		t.Errorf("a stranger was greeted: %+v", hello)
	}
	if block, _ := pem.Decode(other.LocalCert); block == nil {
		t.Error("the stranger had no certificate")
	}
}
