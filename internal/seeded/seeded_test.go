package seeded

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

func TestListIsReadAsItWasWritten(t *testing.T) {
	root := t.TempDir()
	if Exists(root) {
		t.Error("there is a list already")
	}
	items := []Item{
		{Path: "a", Mode: 0o644, Size: 7, Time: 1_700_000_000_123_456_789},
		{Path: "line\nbreak \xff", Mode: fs.ModeSymlink | 0o777},
		{Path: "dir", Mode: fs.ModeDir | 0o755},
	}
	for range 2 { // it is replaced
		if err := Write(root, slices.Values(items)); err != nil {
			t.Fatal(err)
		}
	}
	var got []Item
	if err := Read(root, func(i Item) error { got = append(got, i); return nil }); err != nil {
		t.Fatal(err)
	}
	items[1].Path = "line\nbreak \ufffd" // no name of the engine's either: it skips what is not UTF-8
	if !Exists(root) || !reflect.DeepEqual(got, items) {
		t.Errorf("read %+v", got)
	}
	stop := errors.New("enough")
	if err := Read(root, func(Item) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Read = %v, want the caller's error", err)
	}
	for range 2 { // one that is gone is fine
		if err := Remove(root); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := os.ReadDir(root); len(left) > 0 {
		t.Errorf("%s is left", left[0].Name())
	}
	if err := Read(root, func(Item) error { return nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read without a list = %v", err)
	}
}

// A list that was cut off is an error, and no shorter list.
func TestDamagedListIsAnError(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, Name), []byte(`{"path":"a","mode":420}`+"\n"+`{"path":"b","mo`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Read(root, func(Item) error { return nil }); err == nil {
		t.Error("no error")
	}
}
