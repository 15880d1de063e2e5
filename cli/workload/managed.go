package workload

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/watch"
)

// apiwatch is the watch of the Kubernetes API.
type apiwatch = watch.Interface

// ownsField reports whether a set of managed fields (FieldsV1, KEP-555) has a
// path.
func ownsField(fields []byte, path []string) bool {
	for _, step := range path {
		var level map[string]json.RawMessage
		if err := json.Unmarshal(fields, &level); err != nil {
			return false
		}
		next, ok := level[step]
		if !ok {
			return false
		}
		fields = next
	}
	return true
}
