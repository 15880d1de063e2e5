package metrics

import (
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// translation of one of Syncthing's own families. Those name folder roots and
// devices in labels; ours keep the folder's id and what is named here, and add
// up the rest. What the engine exports itself is not among them.
type translation struct {
	name, help string
	labels     []string
}

// syncthingFamilies by Syncthing's names (metrics.go in its lib/model,
// lib/protocol and lib/scanner).
func syncthingFamilies() map[string]translation {
	folder := []string{"folder"}
	return map[string]translation{
		"syncthing_model_folder_pulls_total":        {"pulls_total", "Rounds of writing the laptop's changes to the folder in the pod.", folder},
		"syncthing_model_folder_pull_seconds_total": {"pull_seconds_total", "Time spent writing the laptop's changes to the folder in the pod.", folder},
		"syncthing_model_folder_processed_bytes_total": {
			"processed_bytes_total", "Bytes written to the folder in the pod by where they came from: network, local_origin, local_other, local_shifted, skipped.",
			[]string{"folder", "source"},
		},
		"syncthing_scanner_hashed_bytes_total":  {"hashed_bytes_total", "Bytes of the folder hashed in the pod.", folder},
		"syncthing_scanner_scanned_items_total": {"scanned_items_total", "Items of the folder looked at in the pod.", folder},
	}
}

// TranslateSyncthing replaces Syncthing's own families by ours.
func TranslateSyncthing(families map[string]*dto.MetricFamily) {
	for theirs, t := range syncthingFamilies() {
		family, ok := families[theirs]
		if !ok || family.GetType() != dto.MetricType_COUNTER {
			continue
		}
		delete(families, theirs)
		name, help := "okteto_sync_"+t.name, t.help
		families[name] = &dto.MetricFamily{Name: &name, Help: &help, Type: family.Type, Metric: t.sum(family.Metric)}
	}
}

// sum adds up the counters that differ in other labels only.
func (t translation) sum(metrics []*dto.Metric) []*dto.Metric {
	byKey := map[string]*dto.Metric{}
	var sums []*dto.Metric
	for _, m := range metrics {
		labels := slices.DeleteFunc(slices.Clone(m.Label), func(l *dto.LabelPair) bool { return !slices.Contains(t.labels, l.GetName()) })
		var key strings.Builder
		for _, l := range labels {
			key.WriteString(l.GetName() + "\x00" + l.GetValue() + "\x00")
		}
		sum, ok := byKey[key.String()]
		if !ok {
			sum = &dto.Metric{Label: labels, Counter: &dto.Counter{Value: new(float64)}}
			byKey[key.String()] = sum
			sums = append(sums, sum)
		}
		*sum.Counter.Value += m.GetCounter().GetValue()
	}
	return sums
}

// AsIs passes a page's families on.
func AsIs(map[string]*dto.MetricFamily) {}
