// Package metrics is what Prometheus sees of the pod: the supervisor's own
// families, those of the synchronization, and those that the SSH server and the
// sync daemon export themselves, checked and merged into one page. A child that
// is down takes its families with it and nothing else.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"okteto/bin-image/supervisor/service"
)

// namespace starts the name of each of our families.
const namespace = "okteto"

// Memory of the container, as package cgroup reads it.
type Memory interface {
	OOMKills() (uint64, error)
	Usage() (uint64, error)
	Limit() (uint64, error)
}

// Sources of what is exported.
type Sources struct {
	// Services at this moment.
	Services func() []service.Status
	// Orphans reaped so far.
	Orphans func() uint64
	// Memory may be nil.
	Memory Memory
	// Foreign pages to merge.
	Foreign []*Foreign
	// Collectors in addition.
	Collectors []prometheus.Collector
}

// Registry of all families.
type Registry struct{ gatherer prometheus.Gatherer }

// New registry.
func New(src Sources) *Registry {
	own := prometheus.NewRegistry()
	own.MustRegister(newServices(src), newBuildInfo())
	own.MustRegister(src.Collectors...)
	for _, f := range src.Foreign {
		own.MustRegister(f.up)
	}
	return &Registry{gatherer: &merged{own: own, foreign: src.Foreign}}
}

// Gatherer of the merged page.
func (r *Registry) Gatherer() prometheus.Gatherer { return r.gatherer }

// Handler serves the page in the format that the scraper asks for. What cannot
// be collected is left out, never an error of the whole page.
func (r *Registry) Handler() http.Handler {
	return promhttp.HandlerFor(r.gatherer, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
		EnableOpenMetrics:   true,
	})
}
