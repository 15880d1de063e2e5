package metrics

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	// fetchTime for the pages of the children, all at once.
	fetchTime = 2 * time.Second
	// maxPage of a child and maxSeries of one of its families bound what a
	// defect there can do to Prometheus.
	maxPage   = 8 << 20
	maxSeries = 500
)

// Foreign is a page of metrics that another process of the pod serves.
type Foreign struct {
	// Service it belongs to.
	Service string
	// Open gets the page in Prometheus' text format.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Translate changes the families to those to pass on.
	Translate func(map[string]*dto.MetricFamily)

	up prometheus.Gauge
}

// NewForeign page.
func NewForeign(service string, open func(context.Context) (io.ReadCloser, error), translate func(map[string]*dto.MetricFamily)) *Foreign {
	return &Foreign{
		Service: service, Open: open, Translate: translate,
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "service_metrics_up",
			Help:        "Whether the metrics of the service itself could be read at the last scrape.",
			ConstLabels: prometheus.Labels{"service": service},
		}),
	}
}

// fetch returns the families that may be passed on; nil if there is no page.
// What a child writes must not be able to end the supervisor, so that a panic of
// the parser costs the page and no more.
func (f *Foreign) fetch(ctx context.Context) (families map[string]*dto.MetricFamily) {
	f.up.Set(0)
	defer func() {
		if recover() != nil {
			f.up.Set(0)
			families = nil
		}
	}()
	page, err := f.Open(ctx)
	if err != nil {
		return nil
	}
	defer page.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err = parser.TextToMetricFamilies(io.LimitReader(page, maxPage))
	if err != nil {
		return nil
	}
	f.up.Set(1)
	f.Translate(families)
	maps.DeleteFunc(families, func(name string, family *dto.MetricFamily) bool {
		// Runtime and process families are collected for all services alike.
		if !strings.HasPrefix(name, namespace+"_") {
			return true
		}
		family.Metric = slices.DeleteFunc(family.Metric, leaks)
		family.Metric = family.Metric[:min(len(family.Metric), maxSeries)]
		return len(family.Metric) == 0
	})
	return families
}

// leaks says that a label holds what looks like a path: those are the user's.
func leaks(m *dto.Metric) bool {
	return slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool {
		return strings.ContainsAny(l.GetValue(), `/\`)
	})
}

// merged gathers the own families and the foreign ones.
type merged struct {
	own     prometheus.Gatherer
	foreign []*Foreign
}

// Gather implements prometheus.Gatherer. A family that the supervisor has itself
// is not taken from elsewhere, nor one that two children export: the first wins.
func (m *merged) Gather() ([]*dto.MetricFamily, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
	defer cancel()
	pages := make([]map[string]*dto.MetricFamily, len(m.foreign))
	var fetching sync.WaitGroup
	for i, f := range m.foreign {
		fetching.Add(1)
		go func() {
			defer fetching.Done()
			pages[i] = f.fetch(ctx)
		}()
	}
	fetching.Wait()
	families, err := m.own.Gather()
	known := map[string]bool{}
	for _, family := range families {
		known[family.GetName()] = true
	}
	for _, page := range pages {
		for name, family := range page {
			if !known[name] {
				known[name] = true
				families = append(families, family)
			}
		}
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, err
}

// UnixSocket opens /metrics on a unix socket.
func UnixSocket(path string) func(ctx context.Context) (io.ReadCloser, error) {
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
		// One short connection a scrape: nothing to keep open or to go stale.
		DisableKeepAlives: true, DisableCompression: true,
	}}
	return func(ctx context.Context) (io.ReadCloser, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://unix/metrics", nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			resp.Body.Close()
			return nil, http.ErrNotSupported
		}
		return resp.Body, nil
	}
}
