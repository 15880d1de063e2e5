//go:build e2e

package pipeline

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"strings"
)

// manifest of an image in the registry.
type manifest struct {
	Config struct{ Digest string }
	Layers []struct{ Digest string }
}

// get asks the test's registry, by way of the API server.
func (s *stage) get(path string) []byte {
	s.Helper()
	content, err := s.Client.CoreV1().RESTClient().Get().Namespace(s.CLI.Namespace).Resource("services").
		Name("registry:5000").SubResource("proxy").Suffix(path).
		SetHeader("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json").
		DoRaw(s.Context())
	if err != nil {
		s.Fatalf("registry: %s: %v", path, err)
	}
	return content
}

// contents of an image: its manifest, its configuration with the history, and
// its layers, uncompressed.
func (s *stage) contents(repository, reference string) []byte {
	s.Helper()
	raw := s.get("v2/" + repository + "/manifests/" + reference)
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		s.Fatal(err)
	}
	if m.Config.Digest == "" || len(m.Layers) == 0 {
		s.Fatalf("the manifest of %s has no layers: %s", repository, raw)
	}
	all := append(raw, s.get("v2/"+repository+"/blobs/"+m.Config.Digest)...)
	for _, layer := range m.Layers {
		reader, err := gzip.NewReader(bytes.NewReader(s.get("v2/" + repository + "/blobs/" + layer.Digest)))
		if err != nil {
			s.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			s.Fatal(err)
		}
		all = append(all, content...)
	}
	return all
}

// digestOf what okteto build printed.
func digestOf(ref string) string {
	_, digest, _ := strings.Cut(strings.TrimSpace(ref), "@")
	return digest
}
