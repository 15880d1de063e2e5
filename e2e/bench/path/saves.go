package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

const (
	// saveTimeout fails a run in which a save never arrives.
	saveTimeout = 30 * time.Second
	// look is the time between two looks at the other side, and so the error
	// of a measurement.
	look = 200 * time.Microsecond
)

// save writes content to path in one editor's way.
type save func(path string, content []byte) error

// plain truncates and writes, as `>` and most editors do.
func plain(path string, content []byte) error {
	return os.WriteFile(path, content, 0o644)
}

// atomic writes beside and renames over, as careful editors do.
func atomic(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// recreate moves the old file away and writes a new one, as vim and the safe
// write of IDEs do.
func recreate(path string, content []byte) error {
	if err := os.Rename(path, path+"~"); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	if err := os.Remove(path + "~"); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// series measures n saves of random size from one folder to the other, at
// random moments, over a handful of files.
func series(ctx context.Context, from, to string, write save, n int) (sample, error) {
	var took sample
	for i := range n {
		pause := 300*time.Millisecond + mathrand.N(1200*time.Millisecond)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
		content := make([]byte, 1024+mathrand.IntN(63*1024))
		rand.Read(content) // never fails: crypto/rand
		name := fmt.Sprintf("saved-%d.bin", i%5)
		start := time.Now()
		if err := write(filepath.Join(from, name), content); err != nil {
			return nil, fmt.Errorf("save: %w", err)
		}
		if err := arrived(ctx, filepath.Join(to, name), content); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

func arrived(ctx context.Context, path string, want []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, saveTimeout, fmt.Errorf("%s did not arrive within %s", path, saveTimeout))
	defer cancel()
	for ctx.Err() == nil {
		if info, err := os.Stat(path); err == nil && info.Size() == int64(len(want)) {
			if got, err := os.ReadFile(path); err == nil && bytes.Equal(got, want) {
				return nil
			}
		}
		time.Sleep(look)
	}
	return context.Cause(ctx)
}

// disturb writes 20 small files a second into a folder until ctx ends.
func disturb(ctx context.Context, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("write noise: %w", err)
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			path := filepath.Join(folder, fmt.Sprintf("noise-%d.txt", i%200))
			if err := os.WriteFile(path, fmt.Appendf(nil, "noise %d\n", i), 0o644); err != nil {
				return fmt.Errorf("write noise: %w", err)
			}
		}
	}
}
