package manifest

import (
	"errors"
	"io/fs"
	"os"
)

// CheckLocal finds what is missing on this machine: folders to synchronize and
// secret files. `up` and `validate` need them, `down` does not. The error is
// *Error.
func (d *Dev) CheckLocal() error {
	look := &decoder{path: d.Path, positions: d.positions}
	for i, f := range d.Sync.Folders {
		field := look.item(d, "sync", i, "folders")
		info, err := os.Stat(f.LocalPath)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			look.fail(field, look.at(field), "create it, or correct the path", "the folder %s does not exist", f.LocalPath)
		case err != nil:
			look.fail(field, look.at(field), "", "the folder cannot be used: %v", err)
		case !info.IsDir():
			look.fail(field, look.at(field), "synchronize its folder; single files can be secrets", "%s is not a folder", f.LocalPath)
		}
	}
	for i, s := range d.Secrets {
		field := look.item(d, "secrets", i)
		info, err := os.Stat(s.LocalPath)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			look.fail(field, look.at(field), "create it, or correct the path", "the file %s does not exist", s.LocalPath)
		case err != nil:
			look.fail(field, look.at(field), "", "the file cannot be used: %v", err)
		case !info.Mode().IsRegular():
			look.fail(field, look.at(field), "", "%s is not a regular file", s.LocalPath)
		}
	}
	if len(look.issues) > 0 {
		e := &Error{Issues: look.issues}
		e.sort()
		return e
	}
	return nil
}
