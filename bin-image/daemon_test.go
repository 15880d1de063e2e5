package binimage_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"okteto/bin-image/original"
	"okteto/bin-image/sandbox"
	"okteto/bin-image/sockets"
	"okteto/internal/contract"
)

// TestConfigVersions: Syncthing has written these since the seed's 1.9.
func TestConfigVersions(t *testing.T) {
	t.Parallel()
	for version := 26; version <= 37; version++ {
		era := original.S
		if version > 30 {
			era = original.H
		}
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			// A root that is not there: with the marker "." it would be an error.
			_, o := dev(t, original.Dev{Era: era, ConfigVersion: version, Folders: []original.Folder{{Path: "/src/deep/er"}}})
			o.UID, o.GID, o.ReadOnly, o.Dirs = 12345, 12345, true, []string{"/src"}
			c := sandbox.Start(t, o)
			ready(c)
			says(t, c, "[+]folder okteto-1 idle")
			if _, err := os.Stat(c.Path("/src/deep/er")); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestListeners: what listens where, and that the REST interface takes the Host
// header that a CLI sends whose manifest says `interface: 0.0.0.0`.
func TestListeners(t *testing.T) {
	t.Parallel()
	c := pod(t, nil)
	ready(c)
	got := map[string]bool{}
	for _, s := range c.Sockets(sockets.Listening) {
		got[s.Local.String()] = true
	}
	want := []string{"127.0.0.1:2222", "127.0.0.1:8384", "127.0.0.1:22000", "[::]:2223"}
	for _, address := range want {
		if !got[address] {
			t.Errorf("nothing listens on %s", address)
		}
	}
	if len(got) != len(want) {
		t.Errorf("listeners: %v, want %v", got, want)
	}
	for _, file := range []string{"udp", "udp6"} {
		lines := strings.Split(strings.TrimSpace(read(t, fmt.Sprintf("/proc/%d/net/%s", c.PID(), file))), "\n")
		if len(lines) > 1 {
			t.Errorf("UDP sockets: %q", lines[1:])
		}
	}
	request, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:8384/rest/system/ping", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "0.0.0.0:45678"
	request.Header.Set("X-API-Key", original.APIKey)
	response, err := (&http.Client{Transport: &http.Transport{DialContext: c.Dial, DisableKeepAlives: true}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("ping with Host 0.0.0.0: %s", response.Status)
	}
}

// TestVerbose: sync.verbose, which manifests have by default, is not the daemon's.
func TestVerbose(t *testing.T) {
	t.Parallel()
	c := pod(t, func(o *sandbox.Options) { o.Args[0] = "-rv" })
	ready(c)
	pid, err := agentPID(c, contract.SyncthingBinary)
	if err != nil {
		t.Fatal(err)
	}
	if args := strings.Split(read(t, fmt.Sprintf("/proc/%d/cmdline", pid)), "\x00"); slices.Contains(args, "--verbose") {
		t.Errorf("%q", args)
	}
}

// TestWithoutSSH: the original starts the pod so with OKTETO_EXECUTE_SSH=false.
func TestWithoutSSH(t *testing.T) {
	t.Parallel()
	c := pod(t, func(o *sandbox.Options) { o.Args, o.Secret = nil, nil })
	ready(c)
	for _, s := range c.Sockets(sockets.Listening) {
		if s.Local.Port() == contract.SSHPort {
			t.Error("the SSH server runs")
		}
	}
	if body, err := readyz(c); err != nil || strings.Contains(body, contract.RemoteBinary) {
		t.Errorf("/readyz: %s, %v", body, err)
	}
	if _, ok := metricsOf(t, c)[`okteto_service_up{service="okteto-remote"}`]; ok {
		t.Error("the metrics have a service that is not wanted")
	}
	if out, err := c.Exec(contract.CleanBinary); err != nil || out != "" {
		t.Errorf("clean: %q, %v", out, err)
	}
	ready(c)
}

// TestReset drops the database and keeps the files.
func TestReset(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	if err := os.Chmod(state, 0o777); err != nil {
		t.Fatal(err)
	}
	_, o := dev(t, original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src"}}})
	o.Volumes = map[string]string{contract.SyncthingHome: state}
	start := func(args ...string) string {
		o := o
		o.Args = append(args, o.Args...)
		c := sandbox.Start(t, o)
		ready(c)
		logs(t, c, "Completed initial scan")
		c.Stop()
		return c.Log()
	}
	const fresh = `No stored folder metadata`
	if !strings.Contains(start(), fresh) {
		t.Fatal("the first start does not look like one")
	}
	if strings.Contains(start(), fresh) {
		t.Error("a second start lost the database")
	}
	if !strings.Contains(start("-e"), fresh) {
		t.Error("a reset kept the database")
	}
	if strings.Contains(start(), fresh) {
		t.Error("a start after a reset lost the database again")
	}
}
