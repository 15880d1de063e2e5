package metrics

import (
	"os"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/procfs"

	"okteto/bin-image/supervisor/service"
	"okteto/internal/contract"
)

func newBuildInfo() prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info",
		Help:        "Version of the agents, as labels; the value is 1.",
		ConstLabels: prometheus.Labels{"version": contract.Version, "goversion": runtime.Version()},
	})
	info.Set(1)
	return info
}

// services collects what is known of the children at the moment of a scrape.
type services struct {
	src Sources

	up, ready, restarts, exits, lastCode, lastTime, lastReason, start *prometheus.Desc
	cpu, memory, files, threads                                       *prometheus.Desc
	orphans, oomKills, used, limit                                    *prometheus.Desc
}

func newServices(src Sources) *services {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return &services{
		src:        src,
		up:         desc("service_up", "Whether the process of the service runs.", "service"),
		ready:      desc("service_ready", "Whether the service runs and answers.", "service"),
		restarts:   desc("service_restarts_total", "Starts of the service after its first one.", "service"),
		exits:      desc("service_exits_total", "Ends of the service by reason: exit, signal, oom, start (it could not be started), restart (it asked for one), stop (the pod ends), unresponsive.", "service", "reason"),
		lastReason: desc("service_last_exit_reason", "The reason of the last end of the service is 1, the others are 0.", "service", "reason"),
		lastCode:   desc("service_last_exit_code", "Exit code of the last end of the service, 128 plus the number of a signal; absent before the first.", "service"),
		lastTime:   desc("service_last_exit_timestamp_seconds", "Unix time of the last end of the service; absent before the first.", "service"),
		start:      desc("service_start_timestamp_seconds", "Unix time at which the running process of the service was started.", "service"),
		cpu:        desc("service_cpu_seconds_total", "User and system time of the running process of the service.", "service"),
		memory:     desc("service_resident_memory_bytes", "Resident memory of the running process of the service.", "service"),
		files:      desc("service_open_fds", "Open file descriptors of the running process of the service.", "service"),
		threads:    desc("service_threads", "Threads of the running process of the service.", "service"),
		orphans:    desc("orphans_reaped_total", "Ended processes that the supervisor inherited and reaped."),
		oomKills:   desc("container_oom_kills_total", "Processes of the container that the kernel killed because memory ran out."),
		used:       desc("container_memory_bytes", "Memory in use by the container."),
		limit:      desc("container_memory_limit_bytes", "Memory limit of the container; absent without one."),
	}
}

// Describe implements prometheus.Collector.
func (c *services) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.up, c.ready, c.restarts, c.exits, c.lastReason, c.lastCode, c.lastTime, c.start,
		c.cpu, c.memory, c.files, c.threads, c.orphans, c.oomKills, c.used, c.limit,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *services) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	for _, s := range c.src.Services() {
		gauge(c.up, truth(s.PID != 0), s.Name)
		gauge(c.ready, truth(s.Phase == service.Ready), s.Name)
		counter(c.restarts, float64(s.Restarts), s.Name)
		for _, reason := range service.Reasons() {
			counter(c.exits, float64(s.Exits[reason]), s.Name, string(reason))
			gauge(c.lastReason, truth(s.Last != nil && s.Last.Reason == reason), s.Name, string(reason))
		}
		if s.Last != nil {
			gauge(c.lastTime, seconds(s.Last.At), s.Name)
			if s.Last.Reason != service.ReasonStart {
				gauge(c.lastCode, exitCode(s.Last), s.Name)
			}
		}
		if s.PID != 0 {
			gauge(c.start, seconds(s.Started), s.Name)
			c.process(ch, s.PID, s.Name)
		}
	}
	c.process(ch, os.Getpid(), "supervisor")
	counter(c.orphans, float64(c.src.Orphans()))
	if c.src.Memory == nil {
		return
	}
	if n, err := c.src.Memory.OOMKills(); err == nil {
		counter(c.oomKills, float64(n))
	}
	if n, err := c.src.Memory.Usage(); err == nil {
		gauge(c.used, float64(n))
	}
	if n, err := c.src.Memory.Limit(); err == nil {
		gauge(c.limit, float64(n))
	}
}

// process collects the figures of one process, or none if it has just ended.
func (c *services) process(ch chan<- prometheus.Metric, pid int, name string) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return
	}
	stat, err := p.Stat()
	if err != nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(c.cpu, prometheus.CounterValue, stat.CPUTime(), name)
	ch <- prometheus.MustNewConstMetric(c.memory, prometheus.GaugeValue, float64(stat.ResidentMemory()), name)
	ch <- prometheus.MustNewConstMetric(c.threads, prometheus.GaugeValue, float64(stat.NumThreads), name)
	if n, err := p.FileDescriptorsLen(); err == nil {
		ch <- prometheus.MustNewConstMetric(c.files, prometheus.GaugeValue, float64(n), name)
	}
}

func exitCode(e *service.Ended) float64 {
	if e.Exit.Signal != 0 {
		return float64(128 + int(e.Exit.Signal))
	}
	return float64(e.Exit.Code)
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
