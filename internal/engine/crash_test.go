//go:build linux

package engine

import (
	"os"
	"path/filepath"
	"testing"
)

// TestEarlyEndsRenewTheDatabase starts after several starts that came to nothing, as
// when the library ends the process each time.
func TestEarlyEndsRenewTheDatabase(t *testing.T) {
	p := newPair(t, nil)
	p.near.write(t, "file", "x")
	p.startBoth()
	eventually(t, "the file", func() bool { return p.far.has("file", "x") })
	count := filepath.Join(p.near.home, startsFile)
	if _, err := os.Stat(count); err != nil {
		t.Errorf("the start is not counted: %v", err)
	}
	p.near.stop()
	if _, err := os.Stat(count); err == nil {
		t.Error("an end in order counts as an early one")
	}
	for _, test := range []struct {
		failed string
		aside  bool
	}{{"1", false}, {"3", false}, {"4", true}, {"garbage", false}} {
		broken := filepath.Join(p.near.home, "index-v0.14.0.db"+brokenSuffix)
		if err := os.RemoveAll(broken); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(count, []byte(test.failed), 0o600); err != nil {
			t.Fatal(err)
		}
		p.start(true)
		name := "after " + test.failed
		p.near.write(t, name, "x")
		eventually(t, name, func() bool { return p.far.has(name, "x") })
		if _, err := os.Stat(broken); (err == nil) != test.aside {
			t.Errorf("after %s early ends: set aside %v, want %v", test.failed, err == nil, test.aside)
		}
		p.near.stop()
	}
}
