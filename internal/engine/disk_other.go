//go:build !linux && !darwin

package engine

import "errors"

func renameNew(from, to string) error { return renameIfFree(from, to) }

func exchange(string, string) error { return errors.ErrUnsupported }
