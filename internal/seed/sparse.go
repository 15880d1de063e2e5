package seed

import (
	"bytes"
	"io"
	"os"
)

// hole is the size of pieces that are left out when they are all zeros: a
// common block size.
const hole = 4096

// writeSparse writes content at the file's position and leaves holes where it
// is zero. A hole at the end is not in the file's size yet.
func writeSparse(file *os.File, content []byte) (endsInHole bool, err error) {
	for len(content) > 0 {
		run, zero := zeros(content)
		if zero {
			_, err = file.Seek(int64(run), io.SeekCurrent)
		} else {
			_, err = file.Write(content[:run])
		}
		if err != nil {
			return false, err
		}
		endsInHole, content = zero, content[run:]
	}
	return endsInHole, nil
}

var zeroHole [hole]byte

// zeros finds how much of content, in pieces of hole, is all zeros, or is not.
func zeros(content []byte) (run int, zero bool) {
	if len(content) < hole {
		return len(content), false
	}
	zero = bytes.Equal(content[:hole], zeroHole[:])
	run = hole
	for run+hole <= len(content) && bytes.Equal(content[run:run+hole], zeroHole[:]) == zero {
		run += hole
	}
	if !zero {
		if rest := len(content) - run; rest < hole {
			run = len(content)
		}
	}
	return run, zero
}
