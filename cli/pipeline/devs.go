package pipeline

import (
	"fmt"
	"path/filepath"

	"okteto/cli/manifest"
	"okteto/cli/ui"
)

// checkDevs reads the manifests that the file lists, so that a wrong one is
// known before anything is deployed.
func (f *File) checkDevs(dir string) error {
	for _, path := range f.Devs {
		if _, err := manifest.Load(filepath.Join(dir, path)); err != nil {
			return &ui.Problem{
				Summary: fmt.Sprintf("%s: devs: %s cannot be used", f.Path, path),
				Cause:   err,
				Hint:    "correct it, or take it off the list",
			}
		}
	}
	return nil
}
