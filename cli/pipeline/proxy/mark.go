package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/internal/contract"
)

// maxBody is above what the API server takes (3 MiB).
const maxBody = 8 << 20

// maxAnswer bounds the API server's answers to the proxy's own questions.
const maxAnswer = 32 << 20

// Labels of what Helm 3 and later keep releases in.
const (
	helmOwnerLabel = "owner"
	helmOwner      = "helm"
	helmNameLabel  = "name"
)

// mark adds the pipeline's labels to the object that the request creates, and
// keeps them on one that has them: an update without them would lose them.
func (p *Proxy) mark(r *http.Request) error {
	t, ok := parsePath(r.URL.Path)
	if !ok || t.subresource != "" || !t.keeps() || !writesWhole(r) {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if len(body) > maxBody {
		return fmt.Errorf("request for %s is larger than %d bytes", r.URL.Path, maxBody)
	}
	_ = r.Body.Close() // of a request that is read whole
	setBody(r, body)
	o, err := decode(r.Header.Get("Content-Type"), body)
	if err != nil {
		return err
	}
	wanted, err := p.marks(r, t, o)
	if err != nil || !wanted {
		return err
	}
	labels := maps.Clone(o.Labels)
	labels[contract.DeployedByLabel] = p.options.Name
	if t.namespace != p.options.Namespace {
		labels[contract.DeployedInLabel] = p.options.Namespace
	}
	if err := p.creates(r.Context(), t); err != nil {
		return err
	}
	if body, err = o.encode(labels); err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	setBody(r, body)
	return nil
}

// writesWhole reports whether the body is a whole object that may come into
// being by it.
func writesWhole(r *http.Request) bool {
	switch r.Method {
	case http.MethodPost, http.MethodPut:
		return true
	case http.MethodPatch:
		mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		return err == nil && (mediaType == typeApplyYAML || mediaType == "application/apply-patch+cbor")
	}
	return false
}

// marks decides whether an object is the pipeline's: it is if it does not exist
// yet, or is marked already. What was there before stays whose it was.
func (p *Proxy) marks(r *http.Request, t target, o *object) (bool, error) {
	if o.Labels[contract.BuilderLabel] != "" {
		return false, nil // shared by all of the namespace
	}
	if r.Method == http.MethodPost {
		return p.ownRelease(r.Context(), t, o)
	}
	live, found, err := p.labels(r.Context(), r.URL.Path)
	if err != nil {
		return false, err
	}
	if !found {
		return p.ownRelease(r.Context(), t, o)
	}
	return p.owns(t, live), nil
}

func (p *Proxy) owns(t target, labels map[string]string) bool {
	return labels[contract.DeployedByLabel] == p.options.Name &&
		(t.namespace == p.options.Namespace || labels[contract.DeployedInLabel] == p.options.Namespace)
}

// ownRelease is false for the next revision of a Helm release that was there
// before the pipeline: Helm keeps each in an object of its own.
func (p *Proxy) ownRelease(ctx context.Context, t target, o *object) (bool, error) {
	if t.group != "" || (t.resource != "secrets" && t.resource != "configmaps") || o.Labels[helmOwnerLabel] != helmOwner {
		return true, nil
	}
	query := url.Values{"labelSelector": {helmOwnerLabel + "=" + helmOwner + "," + helmNameLabel + "=" + o.Labels[helmNameLabel]}}
	var list metav1.PartialObjectMetadataList
	_, err := p.ask(ctx, t.collection(), query, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", &list)
	if errors.Is(err, errForbidden) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, revision := range list.Items {
		if !p.owns(t, revision.Labels) {
			return false, nil
		}
	}
	return true, nil
}

// labels of the object at path; not found also when it may not be read, in
// which case it is not ours to mark.
func (p *Proxy) labels(ctx context.Context, path string) (map[string]string, bool, error) {
	var live metav1.PartialObjectMetadata
	found, err := p.ask(ctx, path, nil, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", &live)
	if errors.Is(err, errForbidden) {
		return nil, true, nil
	}
	return live.Labels, found, err
}

var errForbidden = errors.New("not allowed")

// ask sends a question of the proxy's own to the API server.
func (p *Proxy) ask(ctx context.Context, path string, query url.Values, accept string, answer any) (bool, error) {
	location := *p.upstream
	location.Path, location.RawQuery = joinPath(location.Path, path), query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location.String(), nil)
	if err != nil {
		return false, fmt.Errorf("ask for %s: %w", path, err)
	}
	request.Header.Set("Accept", accept)
	response, err := p.transport.RoundTrip(request)
	if err != nil {
		return false, fmt.Errorf("ask for %s: %w", path, err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return false, nil
	case http.StatusForbidden:
		return false, fmt.Errorf("ask for %s: %w", path, errForbidden)
	default:
		return false, fmt.Errorf("ask for %s: the API server answers %s", path, response.Status)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(answer); err != nil {
		return false, fmt.Errorf("ask for %s: %w", path, err)
	}
	return true, nil
}

func setBody(r *http.Request, body []byte) {
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.Header.Del("Content-Length")
	r.TransferEncoding = nil
}
