package ui

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

func TestExplain(t *testing.T) {
	full := &fs.PathError{Op: "write", Path: "/home/me/.okteto/up.json", Err: syscall.ENOSPC}
	for _, c := range []struct {
		name string
		err  error
		want Problem
	}{
		{"nothing is known", errors.New("x"), Problem{Summary: "x"}},
		{
			"the disk is full", fmt.Errorf("save: %w", full),
			Problem{Summary: "save: " + full.Error(), Hint: "free some space on the disk of /home/me/.okteto/up.json, and do it again"},
		},
		{
			"it is a quota, and a problem",
			&Problem{Summary: "save", Cause: &os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.EDQUOT}, Code: 3},
			Problem{Summary: "save", Hint: "free some space on the disk of b, and do it again", Code: 3},
		},
		{"there is a hint", &Problem{Summary: "x", Hint: "y", Cause: full}, Problem{Summary: "x", Hint: "y"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := *Explain(c.err)
			got.Cause = nil
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}
