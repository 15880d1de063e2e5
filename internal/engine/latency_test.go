package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLatencyFigures prints how long saves take; it asserts nothing about time.
// It runs only when asked for.
func TestLatencyFigures(t *testing.T) {
	if os.Getenv("OKTETO_TEST_LATENCY") == "" {
		t.Skip("set OKTETO_TEST_LATENCY=1")
	}
	p := newPair(t, nil)
	for i := range 200 {
		p.near.write(t, fmt.Sprintf("src/%d/file.txt", i), "x")
	}
	p.startBoth()
	plain := func(path, content string) error { return os.WriteFile(path, []byte(content), 0o644) }
	atomic := func(path, content string) error {
		if err := os.WriteFile(path+"~", []byte(content), 0o644); err != nil {
			return err
		}
		return os.Rename(path+"~", path)
	}
	vim := func(path, content string) error {
		if err := os.Rename(path, path+".bak~"); err != nil && !os.IsNotExist(err) {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
		return os.Remove(path + ".bak~")
	}
	save := func(from, to *end, how func(string, string) error, gap func() time.Duration, n int) []time.Duration {
		var out []time.Duration
		for i := range n {
			time.Sleep(gap())
			content := fmt.Sprintf("%d %s", i, strings.Repeat("y", 1+rand.IntN(32<<10)))
			path := filepath.Join(from.dir, "save.txt")
			start := time.Now()
			if err := how(path, content); err != nil {
				t.Fatal(err)
			}
			for !to.has("save.txt", content) {
				if time.Since(start) > patience {
					t.Fatal("never arrived")
				}
				time.Sleep(100 * time.Microsecond)
			}
			out = append(out, time.Since(start))
		}
		slices.Sort(out)
		return out
	}
	show := func(name string, d []time.Duration) {
		t.Logf("%-28s p50 %7.1f ms  p95 %7.1f ms  max %7.1f ms", name, ms(d[len(d)/2]), ms(d[len(d)*95/100]), ms(d[len(d)-1]))
	}
	spaced := func() time.Duration { return time.Duration(50+rand.IntN(150)) * time.Millisecond }
	hot := func() time.Duration { return 0 }
	show("plain, laptop→pod", save(p.near, p.far, plain, spaced, 60))
	show("plain, pod→laptop", save(p.far, p.near, plain, spaced, 60))
	show("atomic, laptop→pod", save(p.near, p.far, atomic, spaced, 60))
	show("vim, laptop→pod", save(p.near, p.far, vim, spaced, 60))
	show("plain, back to back", save(p.near, p.far, plain, hot, 60))
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				_ = os.WriteFile(filepath.Join(p.near.dir, fmt.Sprintf("noise-%d", i%40)), []byte(strings.Repeat("n", i%4096)), 0o644)
			}
		}
	}()
	show("plain, 20 files/s beside", save(p.near, p.far, plain, spaced, 60))
	show("vim, 20 files/s beside", save(p.near, p.far, vim, spaced, 60))
	close(stop)
	<-done
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
