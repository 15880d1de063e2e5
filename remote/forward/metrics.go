package forward

import "github.com/prometheus/client_golang/prometheus"

// Agent is the kind of a carried agent connection.
const Agent = "auth-agent"

// Metrics of forwards.
type Metrics struct {
	forwards, failures, bytes *prometheus.CounterVec
	active, listeners         *prometheus.GaugeVec
}

// NewMetrics registers the metrics of forwards, all series at zero.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		forwards: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "okteto_remote_forwards_total", Help: "Forwarded connections, by kind.",
		}, []string{"kind"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "okteto_remote_forward_failures_total", Help: "Forwarded connections and remote forwards that were refused, by kind.",
		}, []string{"kind"}),
		active: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "okteto_remote_forwards_active", Help: "Forwarded connections that are open now, by kind.",
		}, []string{"kind"}),
		listeners: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "okteto_remote_forward_listeners", Help: "Remote forwards that listen now, by kind.",
		}, []string{"kind"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "okteto_remote_forward_bytes_total", Help: "Bytes of forwarded connections, by direction (in is from the client) and kind.",
		}, []string{"direction", "kind"}),
	}
	reg.MustRegister(m.forwards, m.failures, m.active, m.listeners, m.bytes)
	for _, k := range []string{DirectTCP, DirectStream, ForwardedTCP, ForwardedStream, Agent} {
		m.forwards.WithLabelValues(k)
		m.failures.WithLabelValues(k)
		m.active.WithLabelValues(k)
		m.bytes.WithLabelValues("in", k)
		m.bytes.WithLabelValues("out", k)
	}
	m.listeners.WithLabelValues(ForwardedTCP)
	m.listeners.WithLabelValues(ForwardedStream)
	return m
}
