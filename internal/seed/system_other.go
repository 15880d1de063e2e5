//go:build !unix

package seed

import "io/fs"

// deviceOf is not known here.
func deviceOf(string) uint64 { return 0 }

// umask does not exist here.
func umask() fs.FileMode { return 0o777 }
