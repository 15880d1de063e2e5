// Command soak keeps one `okteto up` running for a time of your choice while a
// developer edits, the application's side edits, commands run and everything
// breaks in turn: the network, the pod, the agents, okteto itself. At the end it
// says what was done, how long work was interrupted by each fault, and whether
// anything was lost. It fails if anything was.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"okteto/e2e/harness"
	"okteto/internal/testkit/proxy"
)

const (
	namespace = "okteto-soak"
	workdir   = "/app"
)

func main() {
	long := flag.Duration("for", 10*time.Minute, "how long")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the order of edits and faults")
	every := flag.Duration("fault", 20*time.Second, "mean time between faults")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *long, *every, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// soak is one run.
type soak struct {
	*harness.Sample
	cluster *harness.Cluster
	cli     *harness.CLI
	way     *proxy.Proxy
	out     io.Writer
	random  *rand.Rand
	start   time.Time
	written map[string]string // what each file must hold at the end
	// counts of what was done, and the longest interruption by each fault.
	edits, commands int
	longest         map[string]time.Duration
	count           map[string]int
}

func run(ctx context.Context, out io.Writer, long, every time.Duration, seed uint64) (err error) {
	folder, err := os.MkdirTemp("", "okteto-soak-")
	if err != nil {
		return fmt.Errorf("make a folder for the project: %w", err)
	}
	defer os.RemoveAll(folder)
	s := &soak{
		out: out, random: rand.New(rand.NewPCG(seed, seed)), start: time.Now(),
		written: map[string]string{}, longest: map[string]time.Duration{}, count: map[string]int{},
	}
	s.say("Seed %d.", seed)
	if s.cluster, err = harness.Connect(); err != nil {
		return err
	}
	if s.cli, s.Sample, err = s.cluster.FreshSample(ctx, folder, namespace); err != nil {
		return err
	}
	direct := s.cli.Kubeconfig
	if s.way, err = harness.PutProxyBetween(s.cli, folder); err != nil {
		return err
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		if err != nil { // what tells why
			log, _ := os.ReadFile(s.StateFile("okteto.log"))
			_ = os.WriteFile(filepath.Join(os.TempDir(), "okteto-soak.log"), log, 0o600)
			s.say("The log of okteto up is in %s.", filepath.Join(os.TempDir(), "okteto-soak.log"))
		}
		s.cli.Kubeconfig = direct
		_, downErr := s.cli.Succeed(ctx, "down")
		s.way.Close()
		err = errors.Join(err, downErr, s.cluster.DeleteNamespace(ctx, namespace))
	}()
	if _, err := s.cli.Succeed(ctx, "up", "--detach"); err != nil {
		return err
	}
	if err := s.live(ctx, long, every); err != nil {
		return err
	}
	return s.report(ctx)
}

func (s *soak) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%7.1fs  %s\n", time.Since(s.start).Seconds(), fmt.Sprintf(format, args...))
}

// live edits, runs commands and breaks things until the time is over.
func (s *soak) live(ctx context.Context, long, every time.Duration) error {
	next := time.Now().Add(every)
	for end := time.Now().Add(long); time.Now().Before(end); {
		if err := s.work(ctx); err != nil {
			return err
		}
		if time.Now().After(next) {
			if err := s.breakSomething(ctx); err != nil {
				return err
			}
			next = time.Now().Add(every/2 + time.Duration(s.random.Int64N(int64(every))))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(s.random.IntN(300)) * time.Millisecond):
		}
	}
	return nil
}

// report waits until both sides hold what was written, and says how it went.
func (s *soak) report(ctx context.Context) error {
	s.say("Looking at both sides …")
	if err := s.settled(ctx); err != nil {
		return err
	}
	err := harness.Wait(ctx, "both sides to hold what was written", func(context.Context) error { return s.compare() })
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\n%d edits, %d commands; each of %d files is as it was last written, on both sides\n", s.edits, s.commands, len(s.written))
	fmt.Fprintf(s.out, "%-44s %6s %s\n", "fault", "times", "longest until an edit is served again")
	for name, n := range s.count {
		fmt.Fprintf(s.out, "%-44s %6d %.1f s\n", name, n, s.longest[name].Seconds())
	}
	return nil
}
