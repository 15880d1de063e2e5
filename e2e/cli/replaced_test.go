//go:build e2e

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"okteto/e2e/harness"
	"okteto/internal/contract"
	"okteto/internal/testkit/tree"
)

// Work on the laptop goes on while the pod is replaced, and filled anew: what is
// deleted stays deleted, what is renamed is there once, and what is saved is there in
// its last version, without a conflict copy.
func TestWorkGoesOnWhileThePodIsReplaced(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.MustRewrite(contract.ManifestFile, `enabled: \w+`, "enabled: false")
	const files = 900
	name := func(i int) string { return fmt.Sprintf("work/%d/file-%d.txt", i%7, i) }
	for i := range files {
		if err := os.MkdirAll(filepath.Dir(l.file(name(i))), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(l.file(name(i)), []byte(fmt.Sprint("first ", i)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l.MustOkteto("up", "--detach")
	l.EditServed("before")
	old := l.MustDevPod()
	if err := l.DeletePod(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range files { // takes longer than the pod does
		l.workOn(name(i))
		time.Sleep(7 * time.Millisecond)
	}
	l.EditServed("after")
	l.Eventually("equal trees", func(context.Context) error {
		agents, err := harness.OneAgents(l.Namespace)
		if err != nil {
			return err
		}
		diff, err := tree.Compare(filepath.Join(l.Dir, "work"), filepath.Join(agents.Root(), "app", "work"))
		if err == nil && len(diff) > 0 {
			err = fmt.Errorf("%d differences, among them %v", len(diff), diff[0])
		}
		return err
	})
	if now := l.MustDevPod(); now.UID == old.UID {
		t.Error("the pod was not replaced")
	}
	for i := range files {
		content, err := os.ReadFile(l.file(name(i)))
		switch moved, movedErr := os.ReadFile(l.file(name(i) + ".moved")); {
		case i%4 == 0 && !errors.Is(err, os.ErrNotExist):
			t.Errorf("%s was deleted, and is back", name(i))
		case i%4 == 1 && (!errors.Is(err, os.ErrNotExist) || string(moved) != fmt.Sprint("first ", i)):
			t.Errorf("%s was renamed: %v, the new one has %q, %v", name(i), err, moved, movedErr)
		case i%4 >= 2 && string(content) != "second "+name(i):
			t.Errorf("%s was saved, and has %q, %v", name(i), content, err)
		}
	}
	copies, err := filepath.Glob(l.file("work/*/*.sync-conflict-*"))
	if err != nil || len(copies) > 0 {
		t.Errorf("%d conflict copies: %v %v", len(copies), copies, err)
	}
	l.MustOkteto("down")
	l.Restored()
}

func (l *laptop) file(name string) string { return filepath.Join(l.Dir, filepath.FromSlash(name)) }

// workOn does to a file once what its number says.
func (l *laptop) workOn(name string) {
	l.Helper()
	path := l.file(name)
	var n, dir int
	_, err := fmt.Sscanf(name, "work/%d/file-%d.txt", &dir, &n)
	switch n % 4 {
	case 0:
		err = errors.Join(err, os.Remove(path))
	case 1:
		err = errors.Join(err, os.Rename(path, path+".moved"))
	default:
		err = errors.Join(err, os.WriteFile(path, []byte("second "+name), 0o644))
		if n%4 == 3 { // as tar and cp -p do
			long := time.Now().Add(-24 * time.Hour)
			err = errors.Join(err, os.Chtimes(path, long, long))
		}
	}
	if err != nil {
		l.Fatal(err)
	}
}
