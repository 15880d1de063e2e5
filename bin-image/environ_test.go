package binimage_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"okteto/bin-image/original"
	"okteto/bin-image/sandbox"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

// environOf an agent, as the kernel tells.
func environOf(t *testing.T, c *sandbox.Container, name string) []string {
	t.Helper()
	pid, err := agentPID(c, name)
	if err != nil {
		t.Fatal(err)
	}
	return variables(read(t, fmt.Sprintf("/proc/%d/environ", pid)))
}

func variables(environ string) []string {
	all := strings.Split(strings.TrimSuffix(environ, "\x00"), "\x00")
	slices.Sort(all)
	return all
}

// TestEnvironment: sessions see the container's environment as it is, whatever is
// in it, and nothing in it disturbs the agents.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	want := []string{
		// No names to a shell, which drops them.
		"spring.profiles.active=dev", "with-dash=1", "1st=x",
		// Names of variables in start.sh, and of those that shells have.
		"uid=77", "bin=/nowhere", "remote=prod", "verbose=loud", "reset=never", "docker=no", "secrets=/x", "pairs=a:b", "full=y", "nth=4",
		"IFS=:", "OPTIND=7", "OPTARG=x", "PWD=/nowhere", "OLDPWD=/old", "SHLVL=7", "_=/usr/bin/env", "PS4=!", "ENV=/nowhere", "BASH_ENV=/nowhere",
		// Values that are hard to carry.
		"EMPTY=", "LINES=one\ntwo\n", "QUOTES='\"$HOME`id`\\", "BIG=" + strings.Repeat("0123456789", 12000),
		// What would change the agents.
		"GOGC=off", "GOMEMLIMIT=1MiB", "GOMAXPROCS=1", "GODEBUG=gctrace=1", "GOTRACEBACK=none",
		"LD_PRELOAD=/nowhere.so", "LD_LIBRARY_PATH=/nowhere", "SSL_CERT_FILE=/nowhere", "HTTP_PROXY=http://127.0.0.1:9", "TMPDIR=/nowhere",
		"STGUIADDRESS=0.0.0.0:8384", "STGUIAPIKEY=other", "TZ=Asia/Kathmandu", "LC_ALL=tr_TR.UTF-8",
	}
	slices.Sort(want)
	d, o := dev(t, original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src"}}})
	key, err := identity.LoadOrCreateUserKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Secret = d.Secret(string(key.AuthorizedKey))
	o.UID, o.GID, o.ReadOnly, o.Env = 12345, 12345, true, want
	c := sandbox.Start(t, o)
	ready(c)
	if first, _, _ := strings.Cut(c.Log(), "\n"); first != "USER:12345" {
		t.Errorf("first line %q", first)
	}
	got := environOf(t, c, contract.RemoteBinary)
	for i, variable := range got {
		if strings.HasPrefix(variable, "GO") {
			t.Errorf("the SSH server is told %s", variable)
		}
		got[i] = strings.TrimPrefix(variable, "OKTETO_HELD_") // see internal/goenv
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("environment of the SSH server: %.2000q, want %.2000q", without(got, want), without(want, got))
	}
	// The shell's own environment is what the server gave it.
	client := connect(t, c, key)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.Output(busybox + " cat /proc/$$/environ; :")
	if err != nil {
		t.Fatal(err)
	}
	if missing := without(want, variables(string(out))); len(missing) > 0 {
		t.Errorf("environment of a session lacks %.2000q", missing)
	}
	for _, variable := range environOf(t, c, contract.SyncthingBinary) {
		if strings.HasPrefix(variable, "GO") || strings.HasPrefix(variable, "ST") {
			t.Errorf("the sync daemon is told %s", variable)
		}
	}
}

// without returns what of a is not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}
