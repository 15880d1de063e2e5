package session

// ring keeps the last max bytes written.
type ring struct {
	max  int
	data []byte
	full bool
	// total counts the bytes ever written.
	total int64
}

func (r *ring) write(p []byte) {
	r.total += int64(len(p))
	r.data = append(r.data, p...)
	if len(r.data) > 2*r.max { // copy seldom
		r.data = append(r.data[:0], r.data[len(r.data)-r.max:]...)
		r.full = true
	}
}

// bytes returns a copy. When older output is missing it starts after a line
// break, so as not to begin in the middle of an escape sequence.
func (r *ring) bytes() []byte {
	d := r.data
	cut := r.full
	if len(d) > r.max {
		d, cut = d[len(d)-r.max:], true
	}
	if cut {
		for i, c := range d {
			if c == '\n' {
				d = d[i+1:]
				break
			}
		}
	}
	return append([]byte(nil), d...)
}

// since returns a copy of what was written after the first n bytes, and whether
// all of that is still there.
func (r *ring) since(n int64) ([]byte, bool) {
	first := r.total - int64(len(r.data))
	if n < first || n > r.total {
		return nil, false
	}
	return append([]byte(nil), r.data[n-first:]...), true
}
