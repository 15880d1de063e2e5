package tree

import (
	"context"
	"io"
	"net/http"

	"okteto/bin-image/supervisor/metrics"
	"okteto/bin-image/supervisor/service"
	"okteto/internal/contract"
)

// sources of the metrics.
func (s *supervisor) sources() metrics.Sources {
	src := metrics.Sources{
		Services: func() []service.Status {
			all := make([]service.Status, 0, len(s.services))
			for _, svc := range s.services {
				all = append(all, svc.Status())
			}
			return all
		},
		Orphans:    s.reaper.Orphans,
		Collectors: s.watcher.Collectors(),
		Foreign: []*metrics.Foreign{
			metrics.NewForeign(contract.SyncthingBinary, func(ctx context.Context) (io.ReadCloser, error) {
				return s.sync.Open(ctx, "/metrics", nil)
			}, metrics.TranslateSyncthing),
		},
	}
	if s.memory != nil {
		src.Memory = s.memory
	}
	if s.opts.Remote {
		src.Foreign = append(src.Foreign, metrics.NewForeign(contract.RemoteBinary, s.remoteMetrics, metrics.AsIs))
	}
	return src
}

// handler of everything that listens on the pod network.
func (s *supervisor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler())
	mux.HandleFunc("GET /healthz", s.health.Healthz)
	mux.HandleFunc("GET /readyz", s.health.Readyz)
	return mux
}
