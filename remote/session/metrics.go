package session

import (
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/ssh"
)

// Metrics of sessions.
type Metrics struct {
	sessions  *prometheus.CounterVec
	active    *prometheus.GaugeVec
	exits     *prometheus.CounterVec
	failed    prometheus.Counter
	bytes     *prometheus.CounterVec
	terminals *prometheus.GaugeVec
	reattach  prometheus.Counter
	expired   prometheus.Counter
}

// Kinds of sessions.
var kinds = []string{"exec", "shell", "pty-exec", "pty-shell", "subsystem"}

// NewMetrics registers the metrics of sessions, all series at zero.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		sessions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "okteto_remote_sessions_total", Help: "Sessions started, by kind.",
		}, []string{"kind"}),
		active: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "okteto_remote_sessions_active", Help: "Programs that run for a session now, by kind.",
		}, []string{"kind"}),
		exits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "okteto_remote_session_exits_total", Help: "Programs that ended, by class: success, failure (non-zero status) or signal.",
		}, []string{"class"}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "okteto_remote_session_start_failures_total", Help: "Sessions whose program could not be started.",
		}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "okteto_remote_session_bytes_total", Help: "Bytes of sessions, by direction (in is from the client) and kind.",
		}, []string{"direction", "kind"}),
		terminals: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "okteto_remote_terminals", Help: "Persistent terminals, by state.",
		}, []string{"state"}),
		reattach: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "okteto_remote_terminal_reattaches_total", Help: "Clients that came back to their persistent terminal.",
		}),
		expired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "okteto_remote_terminals_expired_total", Help: "Persistent terminals ended because nobody came back or room was needed.",
		}),
	}
	reg.MustRegister(m.sessions, m.active, m.exits, m.failed, m.bytes, m.terminals, m.reattach, m.expired)
	for _, k := range kinds {
		m.sessions.WithLabelValues(k)
		m.active.WithLabelValues(k)
		m.bytes.WithLabelValues("in", k)
		m.bytes.WithLabelValues("out", k)
	}
	for _, c := range []string{"success", "failure", "signal"} {
		m.exits.WithLabelValues(c)
	}
	for _, s := range []string{"attached", "detached"} {
		m.terminals.WithLabelValues(s)
	}
	return m
}

func (m *Metrics) started(kind string) {
	m.sessions.WithLabelValues(kind).Inc()
	m.active.WithLabelValues(kind).Inc()
}

func (m *Metrics) ended(kind string, st exitStatus) {
	m.active.WithLabelValues(kind).Dec()
	m.exits.WithLabelValues(st.class()).Inc()
}

// countingChannel counts the bytes of a subsystem.
type countingChannel struct {
	ssh.Channel
	m    *Metrics
	kind string
}

func (c countingChannel) Read(p []byte) (int, error) {
	n, err := c.Channel.Read(p)
	c.m.bytes.WithLabelValues("in", c.kind).Add(float64(n))
	return n, err
}

func (c countingChannel) Write(p []byte) (int, error) {
	n, err := c.Channel.Write(p)
	c.m.bytes.WithLabelValues("out", c.kind).Add(float64(n))
	return n, err
}
