// Command bench compares okteto-remote with OpenSSH's sshd: the same clients,
// both servers side by side on this machine, measurements interleaved. It
// prints ratios; above 1 means that okteto-remote is better.
//
//	go run ./remote/bench [--rounds 5] [--size 256] [--only exec]
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// options of a run.
type options struct {
	rounds int
	// size of bulk transfers in MiB, files in the small-file case.
	size, files int
	only        string
	// server is the program to measure, "" builds the one of this checkout;
	// reference replaces sshd, to compare with an earlier build.
	server, reference string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of each measurement")
	flag.IntVar(&o.size, "size", 256, "MiB of a bulk transfer")
	flag.IntVar(&o.files, "files", 2000, "files in the small-file case")
	flag.StringVar(&o.only, "only", "", "run the cases whose name contains this")
	flag.StringVar(&o.server, "server", "", "okteto-remote program to measure; built if not given")
	flag.StringVar(&o.reference, "reference", "", "another okteto-remote program to compare with, in place of sshd")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	dir, err := os.MkdirTemp(scratch(), "bench-ssh-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours, ref, err := startServers(o, dir)
	defer func() {
		for _, s := range []*server{ours, ref} {
			if s != nil {
				s.stop()
			}
		}
	}()
	if err != nil {
		return err
	}
	fmt.Printf("%-34s %14s %14s %8s\n", "case", "okteto-remote", ref.name, "ratio")
	for _, c := range cases(o) {
		if !strings.Contains(c.name, o.only) {
			continue
		}
		a, b, err := compare(o.rounds, c, ours, ref)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		ratio := a / b
		if c.less {
			ratio = b / a
		}
		fmt.Printf("%-34s %14s %14s %8.2f\n", c.name, c.show(a), c.show(b), ratio)
	}
	return nil
}

// scratch is in memory if possible: the disk is not what is compared.
func scratch() string {
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
}

// benchCase is one measurement; less means that smaller is better.
type benchCase struct {
	name    string
	less    bool
	show    func(float64) string
	measure func(*server) (float64, error)
}

// compare measures both servers in turns and returns the medians.
func compare(rounds int, c benchCase, a, b *server) (float64, float64, error) {
	var as, bs []float64
	for i := range rounds + 1 {
		pair := []*server{a, b}
		if i%2 == 1 {
			slices.Reverse(pair)
		}
		for _, s := range pair {
			v, err := c.measure(s)
			if err != nil {
				return 0, 0, fmt.Errorf("%s: %w", s.name, err)
			}
			if i == 0 {
				continue // warm-up
			}
			if s == a {
				as = append(as, v)
			} else {
				bs = append(bs, v)
			}
		}
	}
	return median(as), median(bs), nil
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func rate(mib int, d time.Duration) float64 { return float64(mib) / d.Seconds() }

func showRate(v float64) string { return fmt.Sprintf("%.0f MiB/s", v) }

func showTime(v float64) string {
	return time.Duration(v * float64(time.Second)).Round(time.Microsecond).String()
}

func showMiB(v float64) string { return fmt.Sprintf("%.1f MiB", v) }

// absolute path of a file below the server's directory.
func (s *server) path(name string) string { return filepath.Join(s.dir, name) }
