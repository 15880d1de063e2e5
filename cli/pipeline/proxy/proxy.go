// Package proxy is a Kubernetes API server on loopback that passes everything on
// to the real one, with the user's own rights, and marks each object that is
// created through it with the pipeline it belongs to.
//
// The commands of a pipeline get its address and a token that is valid for one
// run and nothing else: the user's credentials stay in this process. An object
// that was there before is never marked, so that what carries the mark may be
// deleted with the pipeline.
package proxy

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// headerTimeout of a request; bodies may take as long as they like.
const headerTimeout = 30 * time.Second

// Options of a proxy.
type Options struct {
	// Config leads to the cluster, with the user's credentials.
	Config *rest.Config
	// Name is the value of the label dev.okteto.com/deployed-by, Namespace the
	// pipeline's own.
	Name, Namespace string
	// Creates, if not nil, is told each kind (deployments.apps) and namespace, ""
	// for what belongs to the cluster, before the first such object is created; an
	// error refuses the request.
	Creates func(ctx context.Context, kind, namespace string) error
	// KeepVolumes answers the deletion of a claim as if it were done, and does
	// not do it.
	KeepVolumes bool
}

// Proxy is a running proxy.
type Proxy struct {
	options   Options
	upstream  *url.URL
	transport http.RoundTripper
	// upgrade speaks HTTP/1.1, which exec and port-forward need.
	upgrade  http.RoundTripper
	server   *http.Server
	listener net.Listener
	token    string
	ca       []byte
	served   chan error

	mu   sync.Mutex // protects the following
	told map[creation]bool
}

// Start listens on a free port of 127.0.0.1 until Close.
func Start(o Options) (*Proxy, error) {
	p := &Proxy{options: o, served: make(chan error, 1), told: map[creation]bool{}}
	var err error
	if p.upstream, _, err = rest.DefaultServerUrlFor(o.Config); err != nil {
		return nil, fmt.Errorf("start API proxy: %w", err)
	}
	if p.transport, err = rest.TransportFor(o.Config); err != nil {
		return nil, fmt.Errorf("start API proxy: %w", err)
	}
	upgrade := rest.CopyConfig(o.Config)
	upgrade.NextProtos = []string{"http/1.1"}
	if p.upgrade, err = rest.TransportFor(upgrade); err != nil {
		return nil, fmt.Errorf("start API proxy: %w", err)
	}
	certificate, ca, token, err := credentials()
	if err != nil {
		return nil, fmt.Errorf("start API proxy: %w", err)
	}
	p.ca, p.token = ca, token
	if p.listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start API proxy: %w", err)
	}
	p.server = &http.Server{
		Handler:           p.handler(),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13},
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1: upgrades need it
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	go func() { p.served <- p.server.ServeTLS(p.listener, "", "") }()
	return p, nil
}

// Close ends all connections and the listener.
func (p *Proxy) Close() error {
	err := p.server.Close()
	if served := <-p.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("close API proxy: %w", err)
	}
	return nil
}

func (p *Proxy) handler() http.Handler {
	reverse := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = p.upstream.Scheme, p.upstream.Host
			r.Out.URL.Path = joinPath(p.upstream.Path, r.In.URL.Path)
			r.Out.URL.RawPath = joinPath(p.upstream.EscapedPath(), r.In.URL.EscapedPath())
			r.Out.Host = p.upstream.Host
			// The transport adds the user's own.
			r.Out.Header.Del("Authorization")
		},
		Transport:     roundTripper(p.roundTrip),
		FlushInterval: -1, // watches and logs come as they happen
		ErrorLog:      slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			refuse(w, http.StatusBadGateway, fmt.Sprintf("the way to the cluster: %v", err))
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(token), []byte(p.token)) != 1 {
			refuse(w, http.StatusUnauthorized, "the token of this pipeline's run is missing")
			return
		}
		if p.keepsVolume(w, r) {
			return
		}
		switch err := p.mark(r); {
		case errors.Is(err, errMediaType):
			refuse(w, http.StatusUnsupportedMediaType, err.Error())
		case err != nil:
			refuse(w, http.StatusBadRequest, err.Error())
		default:
			reverse.ServeHTTP(w, r)
		}
	})
}

func (p *Proxy) roundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return p.upgrade.RoundTrip(r)
	}
	return p.transport.RoundTrip(r)
}

// creation is a kind of objects that is created in a namespace.
type creation struct{ kind, namespace string }

// creates tells the caller of it, once.
func (p *Proxy) creates(ctx context.Context, t target) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := creation{t.kind(), t.namespace}
	if p.told[c] || p.options.Creates == nil {
		return nil
	}
	if err := p.options.Creates(ctx, c.kind, c.namespace); err != nil {
		return err
	}
	p.told[c] = true
	return nil
}

// keepsVolume answers the deletion of claims when they are to be kept.
func (p *Proxy) keepsVolume(w http.ResponseWriter, r *http.Request) bool {
	if !p.options.KeepVolumes || r.Method != http.MethodDelete {
		return false
	}
	t, ok := parsePath(r.URL.Path)
	if !ok || t.group != "" || t.resource != "persistentvolumeclaims" {
		return false
	}
	answer(w, http.StatusOK, metav1.Status{Status: metav1.StatusSuccess})
	return true
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// refuse answers as the API server does, so that clients show the message.
func refuse(w http.ResponseWriter, code int, message string) {
	answer(w, code, metav1.Status{
		Status: metav1.StatusFailure, Code: int32(code), Message: "okteto pipeline: " + message,
	})
}

func answer(w http.ResponseWriter, code int, status metav1.Status) {
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(status) // the client is gone if it fails
}

func joinPath(base, path string) string { return strings.TrimRight(base, "/") + path }
