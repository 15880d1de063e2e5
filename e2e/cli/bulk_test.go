//go:build e2e

package cli

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"okteto/internal/contract"
)

const (
	// bigFile is what a slow line carries for over a minute.
	bigFile  = 64 << 20
	slowLine = 1 << 20 // bytes per second
	// keystrokes are typed meanwhile, each when the one before is on the screen.
	// Behind what the line has taken of the file they would wait for seconds each,
	// and so for longer than the file takes.
	keystrokes = 40
)

// okteto/okteto#639, #1182: while a big file was synchronized, nothing else got
// through. What is typed in the shell of up, and requests to a forwarded port, are
// answered while the line is full of the file.
func TestKeystrokesWhileABigFileIsSynchronized(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.MustRewrite(contract.ManifestFile, `(?m)^command: .*$`, "command: sh")
	p := l.sitDown("up")
	p.sees("Ready")
	p.types("python3 server.py >/dev/null 2>&1 & cat\r")
	l.Serves("Hello from the api sample")

	l.way.SetRate(slowLine)
	before := l.way.Bytes()
	sum := l.writeRandom("big", bigFile)
	l.Eventually("the file on its way", func(context.Context) error {
		if sent := l.way.Bytes() - before; sent < bigFile/16 {
			return fmt.Errorf("%d bytes", sent)
		}
		return nil
	})
	sent := l.way.Bytes()
	for i := range keystrokes {
		// The terminal is raw: what is seen of it has been in the pod.
		key := fmt.Sprintf("<%d>", i)
		p.types(key)
		p.sees(key)
		if err := l.requestForward(); err != nil {
			t.Fatal(err)
		}
	}
	now := l.way.Bytes()
	if now-before >= bigFile {
		t.Errorf("%d keystrokes took as long as the file", keystrokes)
	}
	if now == sent {
		t.Error("nothing was synchronized meanwhile, so nothing was shown")
	}
	t.Logf("%d keystrokes and requests while %d of %d bytes went by", keystrokes, now-sent, bigFile)
	if strings.Contains(p.screen(), "Connected again") {
		t.Error("the connection was lost")
	}

	l.way.SetRate(0)
	l.MustOkteto("wait")
	if out := l.MustOkteto("exec", "--", "sha256sum", "big"); !strings.HasPrefix(out, sum) {
		t.Errorf("the file in the pod is another: %s, want %s", out, sum)
	}
	l.MustOkteto("down")
	l.Restored()
}

// writeRandom writes what no compression makes smaller, and returns its sum.
func (l *laptop) writeRandom(name string, size int64) string {
	l.Helper()
	file, err := os.Create(filepath.Join(l.Dir, name))
	if err != nil {
		l.Fatal(err)
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(file, hash), rand.Reader, size); err != nil {
		l.Fatal(err)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// requestForward asks the application over a connection of its own.
func (l *laptop) requestForward() error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(l.URL() + "healthz")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the application says %s", response.Status)
	}
	return nil
}
