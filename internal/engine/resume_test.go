//go:build linux

package engine

import (
	"bytes"
	"crypto/rand"
	"os"
	"testing"
)

// TestLargeFileIsResumed cuts the line in the middle of a file, with and without a
// restart of the receiver: what has come is not sent again.
func TestLargeFileIsResumed(t *testing.T) {
	const size = 24 << 20
	for name, restart := range map[string]bool{"line cut": false, "receiver restarted": true} {
		t.Run(name, func(t *testing.T) {
			p, line := breakable(t, nil)
			line.SetRate(16 << 20)
			content := make([]byte, size)
			if _, err := rand.Read(content); err != nil {
				t.Fatal(err)
			}
			before := line.Bytes()
			if err := os.WriteFile(p.near.path("large"), content, 0o600); err != nil {
				t.Fatal(err)
			}
			eventually(t, "a half of it", func() bool { return line.Bytes()-before > size/2 })
			apart(p, line)
			sent := line.Bytes() - before
			if sent > size*3/4 {
				t.Fatalf("%d bytes were sent before the cut", sent)
			}
			if restart {
				p.far.stop()
				p.start(false)
			}
			together(p, line)
			eventually(t, "the file", func() bool {
				got, err := os.ReadFile(p.far.path("large"))
				return err == nil && bytes.Equal(got, content)
			})
			total := line.Bytes() - before
			t.Logf("%.2f of the file before the cut, %.2f in all", float64(sent)/size, float64(total)/size)
			if total > size*5/4 {
				t.Errorf("%d bytes were sent of a file of %d", total, size)
			}
		})
	}
}
