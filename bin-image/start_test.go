package binimage_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"okteto/bin-image/original"
	"okteto/bin-image/sandbox"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

// parallel containers, unless -parallel says otherwise: the tests wait for
// backoffs most of the time.
const parallel = "6"

func TestMain(m *testing.M) {
	sandbox.Init()
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", parallel); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	sandbox.Clean()
	os.Exit(code)
}

// dev is an environment with fresh identities.
func dev(t testing.TB, d original.Dev) (original.Dev, sandbox.Options) {
	t.Helper()
	environment, err := identity.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	return devWith(t, d, environment)
}

func devWith(t testing.TB, d original.Dev, environment identity.Environment) (original.Dev, sandbox.Options) {
	t.Helper()
	var err error
	if d.LocalID, err = environment.LocalDeviceID(); err != nil {
		t.Fatal(err)
	}
	if d.RemoteID, err = environment.RemoteDeviceID(); err != nil {
		t.Fatal(err)
	}
	key, err := identity.LoadOrCreateUserKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := sandbox.Options{Args: d.Args(), Secret: d.Secret(string(key.AuthorizedKey))}
	if o.SyncSecret, err = d.SyncSecret(string(environment.RemoteCert), string(environment.RemoteKey)); err != nil {
		t.Fatal(err)
	}
	for _, f := range d.Folders {
		o.Dirs = append(o.Dirs, f.Path)
	}
	return d, o
}

const metricsURL = "http://127.0.0.1:2223"

// ready waits until /readyz says so.
func ready(c *sandbox.Container) {
	c.Eventually("ready", func() error {
		status, body, err := c.Get(metricsURL + "/readyz")
		if err != nil {
			return err
		}
		if status != 200 {
			return fmt.Errorf("%w: %s", sandbox.ErrNotYet, body)
		}
		return nil
	})
}

// TestAnyContainer starts the whole of the agents, as the original's newest CLI
// does, under everything that a cluster may ask of a container.
func TestAnyContainer(t *testing.T) {
	for name, set := range map[string]func(*sandbox.Options){
		"root":          func(*sandbox.Options) {},
		"random uid":    func(o *sandbox.Options) { o.UID, o.GID = 1000690000, 0 },
		"read-only":     func(o *sandbox.Options) { o.UID, o.GID, o.ReadOnly = 12345, 12345, true },
		"umask 077":     func(o *sandbox.Options) { o.UID, o.GID, o.Umask = 12345, 12345, 0o077 },
		"umask 0":       func(o *sandbox.Options) { o.UID, o.GID, o.Umask = 12345, 12345, 0o1000 },
		"not pid 1":     func(o *sandbox.Options) { o.UID, o.GID, o.NotPID1 = 12345, 12345, true },
		"with tmp":      func(o *sandbox.Options) { o.Tmp = true },
		"other flags":   func(o *sandbox.Options) { o.Args = append([]string{"-vdre"}, o.Args[1:]...) },
		"another port":  func(o *sandbox.Options) { o.Env = []string{contract.EnvRemotePort + "=2322"} },
		"pod overrides": func(o *sandbox.Options) { o.Env = []string{"HOME=/nonexistent", "PATH=/nowhere", "TMPDIR=/nowhere"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, o := dev(t, original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src", Ignore: "(?d).git\n"}}})
			set(&o)
			c := sandbox.Start(t, o)
			ready(c)
			if first, _, _ := strings.Cut(c.Log(), "\n"); first != fmt.Sprintf("USER:%d", o.UID) {
				t.Errorf("first line %q", first)
			}
			for path, want := range map[string]os.FileMode{
				contract.AuthorizedKeys:                                     0o600,
				contract.SyncthingHome + "/" + contract.SyncthingKeyFile:    0o600,
				contract.SyncthingHome + "/" + contract.SyncthingConfigFile: 0o600,
				contract.SyncthingDataDir:                                   os.ModeDir | 0o700,
				d.Folders[0].Path + "/.stignore":                            0o644,
			} {
				info, err := os.Stat(c.Path(path))
				if err != nil {
					t.Error(err)
				} else if info.Mode() != want {
					t.Errorf("%s has mode %s, want %s", path, info.Mode(), want)
				}
			}
			if _, err := c.Exec(contract.CleanBinary); err != nil {
				t.Error(err)
			}
			noSecrets(t, c, o)
		})
	}
}

// noSecrets looks at the arguments and environment of all processes.
func noSecrets(t *testing.T, c *sandbox.Container, o sandbox.Options) {
	t.Helper()
	out, err := c.Exec(contract.Busybox, "sh", "-c", contract.Busybox+" cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ")
	if err != nil && out == "" {
		t.Fatal(err)
	}
	if !strings.Contains(out, contract.SyncthingBinary) {
		t.Fatalf("this does not show the processes: %q", out)
	}
	for _, secret := range []string{o.SyncSecret[contract.SyncthingKeyFile], "PRIVATE KEY", "cnd\x00", strings.TrimSpace(o.Secret["authorized_keys"])} {
		if strings.Contains(out, secret) || strings.Contains(c.Log(), secret) {
			t.Errorf("a secret shows in an argument, the environment or the log: %.20q", secret)
		}
	}
}
