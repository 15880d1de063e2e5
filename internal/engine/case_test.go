package engine

import (
	"os"
	"testing"
)

// A folder whose root is made by the engine itself is known as well as one that
// was there: else each file received costs a look through its whole directory.
func TestCaseOfANewRootIsKnown(t *testing.T) {
	p := newPair(t, nil)
	if err := os.Remove(p.far.dir); err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{
		Home: p.far.home, Certificate: p.farC,
		Folders: []Folder{{ID: testFolder, Path: p.far.dir}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	folder, ok := e.wrapper.Folder(testFolder)
	if want := caseSensitive(p.near.dir); !ok || folder.CaseSensitiveFS != want {
		t.Fatalf("case sensitive: %v, want %v", folder.CaseSensitiveFS, want)
	}
}
