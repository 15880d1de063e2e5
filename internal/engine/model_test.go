//go:build linux

package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
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
	link  *proxy.Proxy
	users []*users.User
	known *users.Contents
	log   []string
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{known: users.NewContents()}
	w.pair = newPair(t, func(near bool, c *Config) {
		c.Folders[0].MaxConflicts = -1
		if near {
			c.Peers[0].Address = w.link.Addr()
		}
	})
	w.start(false)
	var err error
	if w.link, err = proxy.New(w.farAddress); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.link.Close)
	w.start(true)
	for i, e := range []*end{w.near, w.far} {
		u, err := users.New([]string{"near", "far"}[i], e.dir, e.home+".aside", seed, w.known)
		if err != nil {
			t.Fatal(err)
		}
		w.users = append(w.users, u)
	}
	return w
}

// fault breaks something, briefly or until healed.
func (w *world) fault(random *rand.Rand) string {
	near := random.IntN(2) == 0
	e := w.far
	if near {
		e = w.near
	}
	switch random.IntN(5) {
	case 0:
		w.link.Cut()
		return "cut"
	case 1:
		w.link.Stall(true)
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		w.link.Stall(false)
		return "stall"
	case 2:
		w.link.Refuse(true)
		w.link.Cut()
		return "line down"
	case 3:
		w.link.Refuse(false)
		return "line up"
	}
	e.stop()
	lost := random.IntN(3) == 0
	if lost {
		if err := ResetDatabase(e.home); err != nil {
			w.t.Fatal(err)
		}
	}
	w.users[random.IntN(2)].Step() // something happens while it is away
	w.start(near)
	return fmt.Sprintf("restart near=%v lost=%v", near, lost)
}

// TestModel runs random histories; a failure names its seed, and
// OKTETO_TEST_SEED=n repeats it. OKTETO_TEST_FULL=1 runs for long.
func TestModel(t *testing.T) {
	seeds, steps := 2, 150
	if os.Getenv("OKTETO_TEST_FULL") != "" {
		seeds, steps = 25, 2000
	}
	first := uint64(1)
	if text := os.Getenv("OKTETO_TEST_SEED"); text != "" {
		var err error
		if first, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
		seeds = 1
	}
	for i := range seeds {
		seed := first + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { runModel(t, seed, steps) })
	}
}

func runModel(t *testing.T, seed uint64, steps int) {
	random := rand.New(rand.NewPCG(seed, 99))
	w := newWorld(t, seed)
	for i := range steps {
		if random.IntN(25) == 0 {
			w.log = append(w.log, fmt.Sprint(i, " FAULT ", w.fault(random)))
		} else {
			u := w.users[random.IntN(2)]
			w.log = append(w.log, fmt.Sprint(i, " ", u.Name(), " ", u.Step()))
		}
		if random.IntN(3) > 0 {
			time.Sleep(time.Duration(random.IntN(40)) * time.Millisecond)
		}
	}
	w.link.Refuse(false)
	w.converge()
	w.nothingLost()
	if t.Failed() {
		t.Logf("history:\n%s", strings.Join(w.log, "\n"))
	}
}

// converge waits until both trees are equal and both ends say so.
func (w *world) converge() {
	w.t.Helper()
	var diff []string
	deadline := time.Now().Add(2 * patience)
	for time.Now().Before(deadline) {
		quiet := true
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
	near, far := w.near.Status().Folders[0], w.far.Status().Folders[0]
	w.t.Errorf("the trees do not become equal: %v\nnear: %+v\nfar:  %+v", diff, near, far)
}

func (w *world) nothingLost() {
	w.t.Helper()
	for _, what := range w.known.Lost(w.near.dir, w.far.dir, filepath.Join(w.near.home, "trash"), filepath.Join(w.far.home, "trash")) {
		w.t.Errorf("lost: %s", what)
	}
}
