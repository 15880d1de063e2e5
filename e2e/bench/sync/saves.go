package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"okteto/internal/engine"
	"okteto/internal/identity"
	"okteto/internal/testkit/tree"
)

// The figures of the original (CLI head with Syncthing 2.1.2 on kind) and of
// Mutagen 0.19-dev between two local folders, measured on the same kind of
// machine.
const (
	refSave   = "original 2015 ms, Mutagen 35 ms"
	refReturn = "original 2018 ms, Mutagen 34 ms"
	refBurst  = "original 10400 ms for 3000 files"
)

// patience with a single file.
const patience = 2 * time.Minute

// countPause between counts of a tree, so that counting does not take the time
// that is measured.
const countPause = 50 * time.Millisecond

type save func(path string, content []byte) error

func plain(path string, content []byte) error { return os.WriteFile(path, content, 0o644) }

func atomic(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func removeFirst(path string, content []byte) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// saves measures a synchronization that runs.
func saves(ctx context.Context, w io.Writer, o Options, laptop, pod string) error {
	spaced := func() time.Duration { return 300*time.Millisecond + rand.N(1200*time.Millisecond) }
	for _, m := range []struct {
		what, from, to string
		how            save
		reference      string
	}{
		{"plain save, laptop to pod", laptop, pod, plain, refSave},
		{"atomic save, laptop to pod", laptop, pod, atomic, refSave},
		{"plain save, pod to laptop", pod, laptop, plain, refReturn},
		{"remove and write, laptop to pod", laptop, pod, removeFirst, refSave},
	} {
		f, err := measure(ctx, o.Saves, m.from, m.to, m.how, spaced)
		if err != nil {
			return fmt.Errorf("%s: %w", m.what, err)
		}
		f.print(w, m.what, m.reference)
	}
	if err := besides(ctx, w, o, laptop, pod, spaced); err != nil {
		return err
	}
	return burst(ctx, w, o, laptop, pod)
}

// besides measures saves while something else writes 20 files a second.
func besides(ctx context.Context, w io.Writer, o Options, laptop, pod string, gap func() time.Duration) error {
	noise, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; noise.Err() == nil; i++ {
			_ = plain(filepath.Join(laptop, fmt.Sprintf("bench-noise-%d", i%50)), bytes.Repeat([]byte("n"), rand.IntN(8<<10)))
			time.Sleep(50 * time.Millisecond)
		}
	}()
	defer func() {
		stop()
		<-done
	}()
	for what, how := range map[string]save{"plain save, 20 files a second besides": plain, "remove and write, 20 files a second besides": removeFirst} {
		f, err := measure(ctx, o.Saves, laptop, pod, how, gap)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		f.print(w, what, "gate p95 300 ms")
	}
	return nil
}

func measure(ctx context.Context, n int, from, to string, how save, gap func() time.Duration) (figures, error) {
	const name = "bench-save.txt"
	var out figures
	for i := range n {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(gap()):
		}
		content := []byte(fmt.Sprintf("%d %d %s", time.Now().UnixNano(), i, strings.Repeat("y", 1024+rand.IntN(63<<10))))
		start := time.Now()
		if err := how(filepath.Join(from, name), content); err != nil {
			return nil, err
		}
		if err := await(ctx, func() bool {
			got, err := os.ReadFile(filepath.Join(to, name))
			return err == nil && bytes.Equal(got, content)
		}); err != nil {
			return nil, err
		}
		out = append(out, time.Since(start))
	}
	return out, nil
}

func await(ctx context.Context, condition func() bool) error {
	return awaitEvery(ctx, 200*time.Microsecond, condition)
}

func awaitEvery(ctx context.Context, pause time.Duration, condition func() bool) error {
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(pause) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not there after %v", patience)
		}
	}
	return nil
}

func burst(ctx context.Context, w io.Writer, o Options, laptop, pod string) error {
	var out figures
	for round := range o.Rounds {
		name := fmt.Sprintf("bench-burst-%d", round)
		start := time.Now()
		if err := tree.Generate(filepath.Join(laptop, name), tree.Spec{Files: o.Burst, Seed: uint64(round)}); err != nil {
			return err
		}
		if err := awaitEvery(ctx, countPause, func() bool { return count(filepath.Join(pod, name)) == o.Burst }); err != nil {
			return err
		}
		out = append(out, time.Since(start))
		if err := os.RemoveAll(filepath.Join(laptop, name)); err != nil {
			return err
		}
		if err := awaitEvery(ctx, countPause, func() bool { return count(filepath.Join(pod, name)) == 0 }); err != nil {
			return err
		}
	}
	out.print(w, fmt.Sprintf("burst of %d files, written and there", o.Burst), refBurst)
	return nil
}

func count(root string) int {
	n := 0
	_ = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.HasPrefix(d.Name(), ".syncthing.") {
			n++
		}
		return nil
	})
	return n
}

// pairSaves runs two engines on this machine.
func pairSaves(ctx context.Context, w io.Writer, o Options, base string) error {
	laptop, pod := filepath.Join(base, "laptop"), filepath.Join(base, "pod")
	if err := tree.Generate(filepath.Join(laptop, "tree"), tree.Spec{Files: o.Tree}); err != nil {
		return err
	}
	p, err := startPair(ctx, laptop, pod, base)
	if err != nil {
		return err
	}
	defer p.stop()
	if err := p.equal(ctx); err != nil {
		return err
	}
	return saves(ctx, w, o, laptop, pod)
}

// pair is two engines, as laptop and pod have them.
type pair struct {
	near, far *engine.Engine
	stop      func()
}

func startPair(ctx context.Context, laptop, pod, base string) (*pair, error) {
	id, err := identity.NewEnvironment()
	if err != nil {
		return nil, err
	}
	near, err := tls.X509KeyPair(id.LocalCert, id.LocalKey)
	if err != nil {
		return nil, err
	}
	far, err := tls.X509KeyPair(id.RemoteCert, id.RemoteKey)
	if err != nil {
		return nil, err
	}
	local, _ := id.LocalDeviceID()
	remote, _ := id.RemoteDeviceID()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 2)
	running := 0
	p := &pair{stop: func() {
		cancel()
		for range running {
			<-done
		}
	}}
	start := func(c engine.Config) (*engine.Engine, error) {
		e, err := engine.New(c)
		if err == nil {
			running++
			go func() { done <- e.Serve(ctx) }()
		}
		return e, err
	}
	folder := engine.Folder{ID: "okteto-1", Marker: ".stignore", MaxConflicts: 10, ConcurrentWrites: 16}
	folder.Path, folder.TrashDir = pod, filepath.Join(base, "pod.trash")
	if p.far, err = start(engine.Config{
		Home: filepath.Join(base, "pod.home"), Certificate: far, ListenAddress: "127.0.0.1:0",
		Peers: []engine.Peer{{ID: local}}, Folders: []engine.Folder{folder},
	}); err != nil {
		return nil, err
	}
	folder.Path, folder.TrashDir, folder.Fsync, folder.ConcurrentWrites = laptop, filepath.Join(base, "laptop.trash"), true, 8
	if p.near, err = start(engine.Config{
		Home: filepath.Join(base, "laptop.home"), Certificate: near,
		Peers: []engine.Peer{{ID: remote, Address: p.far.ListenAddress()}}, Folders: []engine.Folder{folder},
	}); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// equal waits until both ends lack nothing.
func (p *pair) equal(ctx context.Context) error {
	return await(ctx, func() bool {
		for _, e := range []*engine.Engine{p.near, p.far} {
			s := e.Status()
			if !s.Connected || s.Folders[0].State != "idle" || !s.Folders[0].Here.Done() || !s.Folders[0].There.Done() {
				return false
			}
		}
		return true
	})
}
