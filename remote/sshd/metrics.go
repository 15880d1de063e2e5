package sshd

import (
	"errors"
	"io"
	"net"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/ssh"
)

// metrics of connections; those of sessions and forwards are beside their code.
type metrics struct {
	accepted  prometheus.Counter
	active    prometheus.Gauge
	failures  *prometheus.CounterVec
	bytes     *prometheus.CounterVec
	handshake prometheus.Histogram
	dead      prometheus.Counter
}

// Reasons for which a connection does not get in.
const (
	reasonKey      = "key"      // no acceptable key was offered
	reasonTimeout  = "timeout"  // the handshake took too long
	reasonProtocol = "protocol" // not SSH, or no common algorithm
	reasonGone     = "gone"     // closed by the client
	reasonCrowded  = "crowded"  // dropped for newer connections
)

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "okteto_remote_connections_total", Help: "TCP connections accepted.",
		}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "okteto_remote_connections_active", Help: "Authenticated SSH connections.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "okteto_remote_auth_failures_total", Help: "Connections that did not get in, by reason.",
		}, []string{"reason"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "okteto_remote_connection_bytes_total", Help: "Bytes on the wire of ended connections, by direction (in is from the client).",
		}, []string{"direction"}),
		handshake: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "okteto_remote_handshake_seconds", Help: "Time from the TCP connection to a successful login.",
			Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		dead: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "okteto_remote_dead_peers_total", Help: "Connections dropped because the client no longer answered.",
		}),
	}
	reg.MustRegister(m.accepted, m.active, m.failures, m.bytes, m.handshake, m.dead)
	for _, r := range []string{reasonKey, reasonTimeout, reasonProtocol, reasonGone, reasonCrowded} {
		m.failures.WithLabelValues(r)
	}
	m.bytes.WithLabelValues("in")
	m.bytes.WithLabelValues("out")
	return m
}

// failureReason classifies an error of the handshake.
func failureReason(err error) string {
	var auth *ssh.ServerAuthError
	switch {
	case errors.As(err, &auth):
		return reasonKey
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), isReset(err):
		return reasonGone
	case errors.Is(err, os.ErrDeadlineExceeded):
		return reasonTimeout
	}
	return reasonProtocol
}
