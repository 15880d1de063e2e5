//go:build linux

package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"okteto/internal/testkit/proxy"
	"okteto/internal/testkit/tree"
	"okteto/internal/testkit/users"
)

// The model: whatever users do on both sides, and whatever breaks meanwhile, in
// the end both trees are equal, and every content that a user wrote, and that no
// user destroyed knowingly, is found as a file, as a conflict copy or in a trash.

// world is two ends, two users and the line between them.
type world struct {
	*pair
	random *rand.Rand
	link   *proxy.Proxy
	users  []*users.User
	disks  map[*end]*users.Disk
	known  *users.Contents
	log    []string
}

// diskSize of each side in MiB, when it is one that can be filled.
const diskSize = 64

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{known: users.NewContents(), random: rand.New(rand.NewPCG(seed, 99)), disks: map[*end]*users.Disk{}}
	guarded, small := w.random.IntN(2) == 0, w.random.IntN(2) == 0
	w.pair = newPair(t, func(near bool, c *Config) {
		c.Folders[0].MaxConflicts, c.Folders[0].GuardRoot = -1, guarded
		if near {
			c.Peers[0].Address = w.link.Addr()
		}
	})
	for _, e := range []*end{w.near, w.far} {
		disk := filepath.Dir(e.dir) + "/disk." + filepath.Base(e.dir)
		if err := os.Mkdir(disk, 0o755); err != nil {
			t.Fatal(err)
		}
		if small {
			w.disks[e] = users.NewDisk(t, disk, diskSize)
		}
		e.dir = filepath.Join(disk, "tree")
		if err := os.Mkdir(e.dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.start(false)
	var err error
	if w.link, err = proxy.New(w.farAddress); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.link.Close)
	w.start(true)
	for i, e := range []*end{w.near, w.far} {
		u, err := users.New([]string{"near", "far"}[i], e.dir, filepath.Dir(e.dir)+"/aside", seed, w.known)
		if err != nil {
			t.Fatal(err)
		}
		w.users = append(w.users, u)
	}
	w.log = append(w.log, fmt.Sprintf("guarded=%v small=%v", guarded, small))
	return w
}

// roots are all places where a content may be.
func (w *world) roots() []string {
	return []string{w.near.dir, w.far.dir, filepath.Join(w.near.home, "trash"), filepath.Join(w.far.home, "trash")}
}

// fault breaks something, briefly or until healed.
func (w *world) fault() string {
	e := []*end{w.near, w.far}[w.random.IntN(2)]
	near := e == w.near
	switch w.random.IntN(8) {
	case 0:
		w.link.Cut()
		return "cut"
	case 1:
		w.link.Stall(true)
		time.Sleep(time.Duration(w.random.IntN(300)) * time.Millisecond)
		w.link.Stall(false)
		return "stall"
	case 2:
		w.link.Refuse(true)
		w.link.Cut()
		return "line down"
	case 3:
		w.link.Refuse(false)
		return "line up"
	case 4:
		if disk := w.disks[e]; disk != nil {
			return fmt.Sprintf("disk full near=%v %v", near, disk.Fill())
		}
	case 5:
		w.free()
		return "disks have space"
	case 6:
		if w.random.IntN(4) == 0 {
			return w.newPod()
		}
	}
	e.stop()
	lost := w.random.IntN(3) == 0
	if lost {
		w.must(ResetDatabase(e.home))
	}
	did := w.users[w.random.IntN(2)].Step() // something happens while it is away
	w.start(near)
	return fmt.Sprintf("restart near=%v lost=%v, meanwhile: %s", near, lost, did)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) free() {
	for _, disk := range w.disks {
		if disk != nil {
			w.must(disk.Free())
		}
	}
}

// newPod takes the far side's files and database away, as a new pod without a
// volume has none: what only it had is lost, and nothing else.
func (w *world) newPod() string {
	w.far.stop()
	entries, err := os.ReadDir(w.far.dir)
	w.must(err)
	for _, entry := range entries {
		w.must(os.RemoveAll(filepath.Join(w.far.dir, entry.Name())))
	}
	w.must(os.RemoveAll(w.far.home))
	w.known.DestroyedWith(w.roots()...)
	w.start(false)
	return "new pod"
}

// TestModel runs random histories; a failure names its seed. users.Plan says how
// to repeat one, and how to run more.
func TestModel(t *testing.T) {
	users.Plan{First: 1, Seeds: 3, Steps: 150}.Run(t, runModel)
}

func runModel(t *testing.T, seed uint64, steps int) {
	w := newWorld(t, seed)
	defer func() {
		if t.Failed() {
			t.Logf("history:\n%s", strings.Join(w.log, "\n"))
		}
	}()
	for i := range steps {
		if w.random.IntN(25) == 0 {
			w.log = append(w.log, fmt.Sprint(i, " ", time.Now().Format("05.000"), " FAULT ", w.fault()))
		} else {
			u := w.users[w.random.IntN(2)]
			w.log = append(w.log, fmt.Sprint(i, " ", time.Now().Format("05.000"), " ", u.Name(), " ", u.Step()))
		}
		if w.random.IntN(3) > 0 {
			time.Sleep(time.Duration(w.random.IntN(40)) * time.Millisecond)
		}
		w.resume() // a random user may well remove nearly all
	}
	w.link.Refuse(false)
	w.free()
	w.converge()
	w.nothingLost()
}

func (w *world) resume() {
	w.t.Helper()
	for _, e := range []*end{w.near, w.far} {
		if reason := e.halts.get(testFolder); reason != "" {
			w.log = append(w.log, "resume: "+reason)
			ctx, cancel := context.WithTimeout(w.t.(*testing.T).Context(), patience)
			if err := e.Resume(ctx, testFolder); err != nil {
				w.log = append(w.log, "resume: "+err.Error())
			}
			cancel()
		}
	}
}

// converge waits until both trees are equal and both ends say so.
func (w *world) converge() {
	w.t.Helper()
	var diff []string
	deadline := time.Now().Add(2 * patience)
	for time.Now().Before(deadline) {
		quiet := true
		w.resume()
		for _, e := range []*end{w.near, w.far} {
			if err := e.Flush(w.t.(*testing.T).Context(), ""); err != nil {
				quiet = false
			}
			s := e.Status()
			quiet = quiet && s.Connected && s.Folders[0].Here.Done() && s.Folders[0].There.Done() && s.Folders[0].State == "idle"
		}
		var err error
		if diff, err = tree.Compare(w.near.dir, w.far.dir); err == nil && quiet && len(diff) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, line := range diff {
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ':' }) {
			for _, e := range []*end{w.near, w.far} {
				ours, known, _ := e.model.CurrentFolderFile(testFolder, word)
				global, _, _ := e.model.CurrentGlobalFile(testFolder, word)
				if known {
					w.t.Logf("%s in %s: %v\nglobal: %v", word, e.dir, ours, global)
				}
			}
		}
	}
	near, far := w.near.Status().Folders[0], w.far.Status().Folders[0]
	w.t.Errorf("the trees do not become equal: %v\nnear: %+v\nfar:  %+v", diff, near, far)
}

func (w *world) nothingLost() {
	w.t.Helper()
	for _, what := range w.known.Lost(w.roots()...) {
		w.t.Errorf("lost: %s", what)
	}
}
