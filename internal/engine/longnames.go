package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
)

// longestName is how many bytes file systems allow in one.
const longestName = 255

// shorten cuts a name to a length in bytes. It keeps the extension, and is another one
// for each name.
func shorten(name string, length int) string {
	if len(name) <= length {
		return name
	}
	const longestExt = 32
	ext := filepath.Ext(name)
	if len(ext) > longestExt {
		ext = ""
	}
	digest := sha256.Sum256([]byte(name))
	end := "-" + hex.EncodeToString(digest[:4]) + ext
	return strings.ToValidUTF8(name[:length-len(end)], "") + end
}

// fitConflictName makes a conflict copy's name fit: what is before the mark is cut.
func fitConflictName(path string) string {
	dir, base := filepath.Split(path)
	at := strings.LastIndex(base, conflictMark)
	if len(base) <= longestName || at < 0 {
		return path
	}
	return dir + shorten(base[:at], longestName-len(base[at:])) + base[at:]
}
