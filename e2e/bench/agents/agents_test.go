// Package agents measures what the agents cost: how soon they answer, and what
// they use while nothing happens. Run it with `make bench-agents`, as root.
package agents

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"okteto/bin-image/original"
	"okteto/bin-image/process"
	"okteto/bin-image/sandbox"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

func TestMain(m *testing.M) {
	sandbox.Init()
	code := m.Run()
	sandbox.Clean()
	os.Exit(code)
}

// What the original's head does on the same kind of machine: it takes a child
// for started after 5 s, and its three processes hold 105 MB.
const (
	originalWait  = 5000.0 // ms
	originalRSS   = 105.0  // MB: 8 supervisor, 11 SSH server, 86 Syncthing
	idleFor       = 20 * time.Second
	targetSSH     = 300.0  // ms
	targetREST    = 1000.0 // ms
	targetRSS     = 60.0   // MB
	targetIdleCPU = 0.5    // % of a core
)

func options(b *testing.B) sandbox.Options {
	b.Helper()
	keys, err := identity.NewEnvironment()
	if err != nil {
		b.Fatal(err)
	}
	user, err := identity.LoadOrCreateUserKey(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	dev := original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src"}}}
	if dev.LocalID, err = keys.LocalDeviceID(); err != nil {
		b.Fatal(err)
	}
	if dev.RemoteID, err = keys.RemoteDeviceID(); err != nil {
		b.Fatal(err)
	}
	o := sandbox.Options{
		UID: 12345, GID: 12345, ReadOnly: true, Args: dev.Args(), Dirs: []string{"/src"},
		Secret: dev.Secret(string(user.AuthorizedKey)),
	}
	if o.SyncSecret, err = dev.SyncSecret(string(keys.RemoteCert), string(keys.RemoteKey)); err != nil {
		b.Fatal(err)
	}
	return o
}

// BenchmarkStart is the time from the start of a container until the parts
// answer, beside that of a container with nothing but a small web server.
func BenchmarkStart(b *testing.B) {
	sandbox.Agents(b) // built before the clock runs
	var ssh, rest, reference []float64
	for range b.N {
		begin := time.Now()
		c := sandbox.Start(b, sandbox.Options{Command: []string{contract.Busybox, "httpd", "-f", "-p", "127.0.0.1:8080"}})
		reference = append(reference, until(b, c, begin, func() error {
			_, _, err := c.Get("http://127.0.0.1:8080/")
			return err
		}))
		c.Stop()

		begin = time.Now()
		c = sandbox.Start(b, options(b))
		ssh = append(ssh, until(b, c, begin, func() error { return banner(b, c) }))
		rest = append(rest, until(b, c, begin, func() error {
			status, _, err := c.Get("http://127.0.0.1:8384/rest/system/ping", "X-API-Key", original.APIKey)
			if err == nil && status != 200 {
				err = sandbox.ErrNotYet
			}
			return err
		}))
		c.Stop()
	}
	b.ReportMetric(0, "ns/op")
	if b.N == 1 {
		return // the testing package's trial run
	}
	fmt.Printf("\n%-34s %10s %12s %10s %10s\n", "container start to first answer", "median ms", "x reference", "target ms", "original")
	base := median(reference)
	for _, row := range []struct {
		name             string
		samples          []float64
		target, original string
	}{
		{"reference: busybox httpd", reference, "", ""},
		{"SSH identification", ssh, fmt.Sprint(targetSSH), fmt.Sprint(originalWait)},
		{"Syncthing REST ping", rest, fmt.Sprint(targetREST), fmt.Sprint(originalWait)},
	} {
		fmt.Printf("%-34s %10.0f %12.1f %10s %10s\n", row.name, median(row.samples), median(row.samples)/base, row.target, row.original)
	}
}

// BenchmarkIdle is what the agents use while nothing happens.
func BenchmarkIdle(b *testing.B) {
	for range b.N {
		c := sandbox.Start(b, options(b))
		c.Eventually("ready", func() error {
			status, body, err := c.Get("http://127.0.0.1:2223/readyz")
			if err == nil && status != 200 {
				err = fmt.Errorf("%w: %s", sandbox.ErrNotYet, body)
			}
			return err
		})
		time.Sleep(2 * time.Second) // what starting has left to do
		before := usage(b, c)
		time.Sleep(idleFor)
		after := usage(b, c)
		fmt.Printf("\n%-20s %10s %12s\n", "idle, nobody connected", "RSS MB", "CPU % core")
		var rss, cpu float64
		for _, name := range []string{contract.SupervisorBinary, contract.RemoteBinary, contract.SyncthingBinary} {
			used := 100 * (after[name].cpu - before[name].cpu) / idleFor.Seconds()
			fmt.Printf("%-20s %10.1f %12.3f\n", name, after[name].rss, used)
			rss, cpu = rss+after[name].rss, cpu+used
		}
		fmt.Printf("%-20s %10.1f %12.3f\n", "all", rss, cpu)
		fmt.Printf("%-20s %10.1f %12.3f\n", "target", targetRSS, targetIdleCPU)
		fmt.Printf("%-20s %10.1f %12s   ours is %.2f of it\n", "original", originalRSS, "", rss/originalRSS)
		c.Stop()
	}
	b.ReportMetric(0, "ns/op")
}

type used struct{ rss, cpu float64 }

func usage(b *testing.B, c *sandbox.Container) map[string]used {
	b.Helper()
	table, err := process.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	all := map[string]used{}
	for _, p := range append(table.Descendants(c.PID()), table.Get(c.PID())) {
		proc, err := procfs.NewProc(p.PID)
		if err != nil {
			b.Fatal(err)
		}
		stat, err := proc.Stat()
		if err != nil {
			b.Fatal(err)
		}
		args := p.Args()
		name := args[0][strings.LastIndex(args[0], "/")+1:]
		all[name] = used{float64(stat.ResidentMemory()) / (1 << 20), stat.CPUTime()}
	}
	return all
}

func banner(b *testing.B, c *sandbox.Container) error {
	conn, err := c.Dial(b.Context(), "tcp", "127.0.0.1:2222")
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = bufio.NewReader(conn).ReadString('\n')
	return err
}

// until polls closely and returns the milliseconds since begin.
func until(b *testing.B, c *sandbox.Container, begin time.Time, check func() error) float64 {
	b.Helper()
	for check() != nil {
		if time.Since(begin) > time.Minute {
			b.Fatalf("no answer\n%s", c.Log())
		}
		time.Sleep(time.Millisecond)
	}
	return float64(time.Since(begin)) / float64(time.Millisecond)
}

func median(samples []float64) float64 {
	sorted := slices.Clone(samples)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}
