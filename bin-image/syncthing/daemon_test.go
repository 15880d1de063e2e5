package main

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/syncthing/syncthing/lib/protocol"

	"okteto/internal/contract"
	"okteto/internal/identity"
)

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
	type event struct {
		Type string
		Data struct{ Folder, To string }
	}
	eventually(t, "the last change of state to be that to idle", func() bool {
		var events []event
		d.get("/rest/events?folder=okteto-1&since=0&limit=1&timeout=0&events=StateChanged", "", &events)
		return len(events) == 1 && events[0].Data.Folder == "okteto-1" && events[0].Data.To == "idle"
	})
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
	request, err := http.NewRequest(http.MethodGet, "http://"+d.gui+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-API-Key", contract.OriginalAPIKey)
	response, err := http.DefaultClient.Do(request)
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
	if err := os.WriteFile(filepath.Join(d.home, contract.SyncthingConfigFile), []byte(`<configuration version="99"></configuration>`), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), Options{Config: d.home, Data: d.data, ListenAddress: d.listen, GUIAddress: d.gui})
	if err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("configuration of the future without folders: %v", err)
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
