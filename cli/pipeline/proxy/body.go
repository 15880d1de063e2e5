package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"

	"sigs.k8s.io/yaml"
)

// Media types of request bodies that carry a whole object.
const (
	typeJSON      = "application/json"
	typeYAML      = "application/yaml"
	typeProtobuf  = "application/vnd.kubernetes.protobuf"
	typeApplyYAML = "application/apply-patch+yaml"
)

// errMediaType says that the body is in a form that cannot be marked. A client
// that is told so sends JSON instead (KEP-4222 for CBOR).
var errMediaType = errors.New("this media type cannot be marked")

// object is a request's body as far as the proxy looks into it.
type object struct {
	// Name is empty when the server is to make one.
	Name   string
	Labels map[string]string
	// encode returns the body with other labels and, apart from those, as it
	// was.
	encode func(labels map[string]string) ([]byte, error)
}

func decode(contentType string, body []byte) (*object, error) {
	mediaType := typeJSON
	if contentType != "" {
		var err error
		if mediaType, _, err = mime.ParseMediaType(contentType); err != nil {
			return nil, fmt.Errorf("content type %q: %w", contentType, err)
		}
	}
	switch mediaType {
	case typeJSON:
		return decodeJSON(body)
	case typeYAML, typeApplyYAML:
		// JSON is YAML, so the answer may be JSON.
		content, err := yaml.YAMLToJSON(body)
		if err != nil {
			return nil, fmt.Errorf("decode body: %w", err)
		}
		return decodeJSON(content)
	case typeProtobuf:
		return decodeProtobuf(body)
	}
	return nil, fmt.Errorf("%w: %s", errMediaType, mediaType)
}

// decodeJSON leaves everything but the labels in its original spelling.
func decodeJSON(body []byte) (*object, error) {
	var top, metadata map[string]json.RawMessage
	if err := json.Unmarshal(body, &top); err != nil {
		return nil, fmt.Errorf("decode body: %w", err)
	}
	o := &object{Labels: map[string]string{}}
	if raw, ok := top["metadata"]; ok {
		if err := json.Unmarshal(raw, &metadata); err != nil {
			return nil, fmt.Errorf("decode metadata: %w", err)
		}
		var fields struct {
			Name   string            `json:"name"`
			Labels map[string]string `json:"labels"`
		}
		if err := json.Unmarshal(raw, &fields); err != nil {
			return nil, fmt.Errorf("decode metadata: %w", err)
		}
		o.Name = fields.Name
		if fields.Labels != nil {
			o.Labels = fields.Labels
		}
	}
	o.encode = func(labels map[string]string) ([]byte, error) {
		if metadata == nil {
			metadata = map[string]json.RawMessage{}
		}
		if top == nil {
			top = map[string]json.RawMessage{}
		}
		var err error
		if metadata["labels"], err = json.Marshal(labels); err != nil {
			return nil, err
		}
		if top["metadata"], err = json.Marshal(metadata); err != nil {
			return nil, err
		}
		return json.Marshal(top)
	}
	return o, nil
}
