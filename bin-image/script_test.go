package binimage_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"okteto/bin-image/original"
	"okteto/bin-image/sandbox"
	"okteto/internal/contract"
)

// scriptBin is a directory of agents whose supervisor only says how it was called.
func scriptBin(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"start.sh", "busybox"} {
		if err := os.Link(filepath.Join(sandbox.Agents(t), name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	script := "#!" + contract.Busybox + " sh\necho \"supervisor[$*] umask $(umask)\"\n"
	if err := os.WriteFile(filepath.Join(dir, contract.SupervisorBinary), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestStartFlags(t *testing.T) {
	t.Parallel()
	const secret = contract.SecretDir + "/"
	for _, test := range []struct {
		name string
		args []string
		code int
		want string // in the log
	}{
		{"none", nil, 0, "supervisor[--verbose=false]"},
		{"remote", []string{"-r"}, 0, "supervisor[--remote --verbose=false]"},
		{"all apart", []string{"-v", "-e", "-r"}, 0, "supervisor[--remote --reset --verbose=true]"},
		{"all together", []string{"-rev"}, 0, "supervisor[--remote --reset --verbose=true]"},
		{"seed order", []string{"-r", "-s", "a:/w/a", "-e"}, 0, "supervisor[--remote --reset --verbose=false]"},
		{"docker last", []string{"-r", "-s", "a:/w/a", "-d"}, 0, "supervisor[--remote --verbose=false]"},
		{"attached value", []string{"-rsa:/w/a"}, 0, "supervisor[--remote"},
		{"third field", []string{"-s", "a:/w/a:ignored"}, 0, "supervisor["},
		{"in place", []string{"-s", "a:" + secret + "a"}, 0, "supervisor["},
		{"unknown flag", []string{"-r", "-x"}, 1, "Invalid option: -x"},
		{"no value", []string{"-s"}, 1, "-s needs an argument"},
		{"no destination", []string{"-s", "a"}, 1, "want FILE:/absolute/destination"},
		{"relative destination", []string{"-s", "a:b"}, 1, "want FILE:/absolute/destination"},
		{"stray argument", []string{"-r", "more"}, 1, "unexpected argument: more"},
		{"missing secret", []string{"-s", "b:/w/b"}, 1, "there is no secret b"},
		{"destination not writable", []string{"-s", "a:/usr/a"}, 1, "cannot make /usr"},
		{"nothing done before a bad flag", []string{"-s", "a:/w/a", "-x"}, 1, "Invalid option"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			work := t.TempDir()
			if err := os.Chmod(work, 0o777); err != nil {
				t.Fatal(err)
			}
			c := sandbox.Start(t, sandbox.Options{
				UID: 4242, GID: 4242, ReadOnly: true, Bin: scriptBin(t), Args: test.args,
				Dirs: []string{"/w"}, Volumes: map[string]string{"/w": work},
				Secret: map[string]string{"a": "top secret"}, SyncSecret: map[string]string{"config.xml": "<x/>"},
			})
			if code := c.Wait(); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			log := c.Log()
			if !strings.HasPrefix(log, "USER:4242\n") {
				t.Errorf("the first line is not the user: %q", log)
			}
			if !strings.Contains(log, test.want) {
				t.Errorf("the log lacks %q", test.want)
			}
			if strings.Contains(log, "top secret") {
				t.Error("the secret is in the log")
			}
			_, err := os.Stat(filepath.Join(work, "a"))
			placed := err == nil
			asked := test.code == 0 && strings.Contains(strings.Join(test.args, " "), "/w/a")
			if placed != asked {
				t.Errorf("secret placed: %v, want %v", placed, asked)
			}
			if left, _ := filepath.Glob(filepath.Join(work, ".okteto-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestSecretsAreReplaced: what an earlier start left there, whoever it belonged
// to, gives way to the secret, and the modes are tight whatever the umask.
func TestSecretsAreReplaced(t *testing.T) {
	t.Parallel()
	const key = contract.HostKeyName
	remote := t.TempDir()
	sync := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	for _, step := range []error{
		os.Chmod(remote, 0o777), os.Chmod(sync, 0o777),
		os.WriteFile(outside, []byte("untouched"), 0o666),
		os.WriteFile(filepath.Join(remote, key), []byte("a stale and longer key"), 0o644),
		os.Symlink(outside, filepath.Join(remote, "authorized_keys")),
		os.WriteFile(filepath.Join(sync, "config.xml"), []byte("stale"), 0o444),
		os.WriteFile(filepath.Join(sync, "index"), []byte("kept"), 0o644),
		os.Mkdir(filepath.Join(sync, "secret"), 0o755),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	bin := scriptBin(t)
	for i := range 3 {
		content := fmt.Sprintf("generation %d", i)
		c := sandbox.Start(t, sandbox.Options{
			UID: 4242, GID: 4242, Umask: 0o1000, ReadOnly: true, Bin: bin, // umask 0: sandbox takes 0 for the default
			Args:       []string{"-s", key + ":" + contract.HostKeyFile, "-s", "authorized_keys:" + contract.AuthorizedKeys},
			Volumes:    map[string]string{contract.RemoteDir: remote, contract.SyncthingHome: sync},
			Secret:     map[string]string{key: content, "authorized_keys": content},
			SyncSecret: map[string]string{"config.xml": content, "key.pem": content, contract.EngineFile: content},
		})
		if code := c.Wait(); code != 0 {
			t.Fatalf("start %d: exit code %d", i, code)
		}
		if !strings.Contains(c.Log(), "umask 0000") {
			t.Errorf("sessions would inherit another umask: %s", c.Log())
		}
		for _, path := range []string{
			filepath.Join(remote, key), filepath.Join(remote, "authorized_keys"),
			filepath.Join(sync, "config.xml"), filepath.Join(sync, "key.pem"), filepath.Join(sync, contract.EngineFile),
		} {
			got, err := os.ReadFile(path)
			if err != nil || string(got) != content {
				t.Errorf("%s: %q, %v, want %q", path, got, err, content)
			}
			if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
				t.Errorf("%s: %v", path, info)
			}
		}
	}
	if got, _ := os.ReadFile(outside); string(got) != "untouched" {
		t.Errorf("a link was followed: %q", got)
	}
	if got, _ := os.ReadFile(filepath.Join(sync, "index")); string(got) != "kept" {
		t.Error("what is not in the secret was touched")
	}
}

// TestIgnoreFileNumbers: the original numbers flags and files differently.
func TestIgnoreFileNumbers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		flags []int          // folders that have an ignore file
		files map[string]int // number in the secret to folder
		want  map[int]int    // folder to the folder whose content it gets
		lacks []int
	}{
		{"as they should be", []int{1, 2}, map[string]int{".stignore-1": 1, ".stignore-2": 2}, map[int]int{1: 1, 2: 2}, nil},
		{"first folder without", []int{2}, map[string]int{".stignore-1": 2}, map[int]int{2: 2}, nil},
		{"middle folder without", []int{1, 3}, map[string]int{".stignore-1": 1, ".stignore-2": 3}, map[int]int{1: 1, 3: 3}, nil},
		{"two after one without", []int{2, 3}, map[string]int{".stignore-1": 2, ".stignore-2": 3}, map[int]int{2: 2, 3: 3}, nil},
		{"numbered by folder", []int{2, 3}, map[string]int{".stignore-2": 2, ".stignore-3": 3}, map[int]int{2: 2, 3: 3}, nil},
		{"more than nine", []int{2, 10, 11}, map[string]int{".stignore-1": 2, ".stignore-9": 10, ".stignore-10": 11}, map[int]int{2: 2, 10: 10, 11: 11}, nil},
		{"one lost", []int{1, 2}, map[string]int{".stignore-1": 1}, map[int]int{1: 1}, []int{2}},
		{"all lost", []int{1}, nil, nil, []int{1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			work := t.TempDir()
			if err := os.Chmod(work, 0o777); err != nil {
				t.Fatal(err)
			}
			o := sandbox.Options{
				Bin: scriptBin(t), Dirs: []string{"/w"}, Volumes: map[string]string{"/w": work},
				Secret: map[string]string{},
			}
			for _, folder := range test.flags {
				o.Args = append(o.Args, "-s", fmt.Sprintf(".stignore-%d:/w/%d/.stignore", folder, folder))
			}
			for name, folder := range test.files {
				o.Secret[name] = fmt.Sprint("folder ", folder)
			}
			c := sandbox.Start(t, o)
			if code := c.Wait(); code != 0 {
				t.Fatalf("exit code %d", code)
			}
			for folder, from := range test.want {
				got, err := os.ReadFile(filepath.Join(work, fmt.Sprint(folder), ".stignore"))
				if err != nil || string(got) != fmt.Sprint("folder ", from) {
					t.Errorf("folder %d: %q, %v", folder, got, err)
				}
			}
			for _, folder := range test.lacks {
				if !strings.Contains(c.Log(), fmt.Sprintf("/w/%d/.stignore is not written", folder)) {
					t.Errorf("nothing says that folder %d has no ignore file", folder)
				}
			}
		})
	}
}

func TestOperatorsPrograms(t *testing.T) {
	t.Parallel()
	cloud, user := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(cloud, "tool"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := sandbox.Start(t, sandbox.Options{
		Bin: scriptBin(t), Dirs: []string{"/var/okteto/cloudbin", "/usr/local/bin"},
		Volumes: map[string]string{"/var/okteto/cloudbin": cloud, "/usr/local/bin": user},
	})
	if code := c.Wait(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if info, err := os.Stat(filepath.Join(user, "tool")); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("the operator's program is not there to run: %v, %v", info, err)
	}
}

// TestStopDuringStart: the first process of a container gets no signal that it does
// not catch, and a pod that is deleted while it starts would not end.
func TestStopDuringStart(t *testing.T) {
	t.Parallel()
	cloud, user := t.TempDir(), t.TempDir()
	slow := filepath.Join(cloud, "slow")
	if err := syscall.Mkfifo(slow, 0o644); err != nil {
		t.Fatal(err)
	}
	c := sandbox.Start(t, sandbox.Options{
		Bin: scriptBin(t), Dirs: []string{"/var/okteto/cloudbin", "/usr/local/bin"},
		Volumes: map[string]string{"/var/okteto/cloudbin": cloud, "/usr/local/bin": user},
	})
	// Opening to write waits for the reader: the script is in the midst of it.
	pipe, err := os.OpenFile(slow, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	c.Signal(syscall.SIGTERM)
	pipe.Close()
	if code := c.Wait(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(c.Log(), "supervisor[") {
		t.Error("it goes on")
	}
}

func TestDockerLogin(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	start := func(token string) {
		c := sandbox.Start(t, sandbox.Options{
			Bin: scriptBin(t), Args: []string{"-r", "-d"}, Dirs: []string{"/home"}, Volumes: map[string]string{"/home": home},
			Env: []string{"HOME=/home", "OKTETO_REGISTRY_URL=registry.example", "OKTETO_USERNAME=me", "OKTETO_TOKEN=" + token},
		})
		if code := c.Wait(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		if strings.Contains(c.Log(), token) {
			t.Error("the token is in the log")
		}
	}
	token := strings.Repeat("long-token-", 20) // base64 breaks lines
	start(token)
	start("another")
	path := filepath.Join(home, ".docker", "config.json")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Auths map[string]struct{ Auth string }
	}
	if err := json.Unmarshal(content, &config); err != nil {
		t.Fatalf("%v: %s", err, content)
	}
	if got, _ := base64.StdEncoding.DecodeString(config.Auths["registry.example"].Auth); string(got) != "me:"+token {
		t.Errorf("credentials %q", got)
	}
	if info, _ := os.Stat(path); info.Mode() != 0o600 {
		t.Errorf("mode %s", info.Mode())
	}
}

// TestArgumentsOfTheEras: what each CLI passes is understood.
func TestArgumentsOfTheEras(t *testing.T) {
	t.Parallel()
	for _, era := range original.Eras() {
		for _, reset := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s reset=%v", era, reset), func(t *testing.T) {
				t.Parallel()
				_, o := dev(t, original.Dev{
					Era: era, Reset: reset,
					Folders: []original.Folder{{Path: "/a"}, {Path: "/b", Ignore: "(?d)x\n"}},
				})
				o.Bin = scriptBin(t)
				c := sandbox.Start(t, o)
				if code := c.Wait(); code != 0 {
					t.Fatalf("exit code %d", code)
				}
				want := "supervisor[--remote --verbose=false]"
				if reset {
					want = "supervisor[--remote --reset --verbose=false]"
				}
				if !strings.Contains(c.Log(), want) {
					t.Errorf("the log lacks %q", want)
				}
			})
		}
	}
}
