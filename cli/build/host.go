package build

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	_ "github.com/moby/buildkit/client/connhelper/dockercontainer"  // docker-container://
	_ "github.com/moby/buildkit/client/connhelper/kubepod"          // kube-pod://
	_ "github.com/moby/buildkit/client/connhelper/nerdctlcontainer" // nerdctl-container://
	_ "github.com/moby/buildkit/client/connhelper/npipe"            // npipe://
	_ "github.com/moby/buildkit/client/connhelper/podmancontainer"  // podman-container://
	_ "github.com/moby/buildkit/client/connhelper/ssh"              // ssh://

	"okteto/cli/build/builder"
	"okteto/cli/pause"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

const (
	schemeTCP = "tcp"
	// returnTimeout is how long a builder that goes away during a build has to
	// come back, and returnPoll how often it is asked.
	returnTimeout = time.Minute
	returnPoll    = 500 * time.Millisecond
)

// connector connects to the builder that the environment and the options name.
type connector interface {
	Connect(ctx context.Context) (*client.Client, error)
}

func newConnector(o *Options) (connector, error) {
	address := os.Getenv(contract.EnvBuildkitHost)
	if address == "" {
		if o.TLS != (TLS{}) {
			return nil, &ui.Problem{Summary: "the TLS options are for a builder of your own, and none is named", Hint: "export BUILDKIT_HOST=tcp://HOST:PORT\nor leave them out: the builder in the cluster has keys of its own"}
		}
		return &builder.Builder{Client: o.Client, Streams: o.Streams}, nil
	}
	return newHost(address, o.TLS)
}

// host is a builder of the user's own.
type host struct {
	address    string
	options    []client.ClientOpt
	secured    bool
	handshakes handshakes
	// answered says that it was there before.
	answered bool
}

func newHost(address string, options TLS) (*host, error) {
	schemes := []string{schemeTCP, "unix", "ssh", "docker-container", "podman-container", "nerdctl-container", "kube-pod", "npipe"}
	u, err := url.Parse(address)
	if err != nil || !slices.Contains(schemes, u.Scheme) {
		return nil, &ui.Problem{
			Summary: fmt.Sprintf("BUILDKIT_HOST=%s is not the address of a builder", address), Cause: err,
			Hint: "it begins with one of: " + strings.Join(schemes, "://, ") + "://\nsuch as tcp://HOST:PORT, or unset it to use a builder in the cluster",
		}
	}
	if u.Scheme != schemeTCP {
		if options != (TLS{}) {
			return nil, &ui.Problem{Summary: "TLS is for a BUILDKIT_HOST of tcp://, and it is " + address, Hint: "leave out the TLS options"}
		}
		return &host{address: address}, nil
	}
	if u.Port() == "" {
		return nil, &ui.Problem{Summary: fmt.Sprintf("BUILDKIT_HOST=%s has no port", address), Hint: "write tcp://HOST:PORT"}
	}
	h := &host{address: address}
	if options = options.orEnvironment(); options == (TLS{}) {
		return h, nil
	}
	config, err := options.config(u.Hostname())
	if err != nil {
		return nil, err
	}
	h.secured = true
	h.options = []client.ClientOpt{client.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		return h.dial(ctx, address, config)
	})}
	return h, nil
}

func (h *host) dial(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	h.handshakes.note(nil)
	dialer := tls.Dialer{Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		h.handshakes.note(err)
		return nil, err
	}
	return watchedConn{conn, &h.handshakes}, nil
}

// Connect connects, and makes sure that the builder answers. One that did before
// is waited for.
func (h *host) Connect(ctx context.Context) (*client.Client, error) {
	limit := time.Now().Add(returnTimeout)
	for {
		c, err := h.connect(ctx)
		if err == nil {
			h.answered = true
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !h.answered || time.Now().After(limit) {
			return nil, h.problem(err)
		}
		if err := pause.For(ctx, returnPoll); err != nil {
			return nil, err
		}
	}
}

func (h *host) connect(ctx context.Context) (*client.Client, error) {
	c, err := client.New(ctx, h.address, h.options...)
	if err != nil {
		return nil, err
	}
	if err := builder.Answers(ctx, c); err != nil {
		_ = c.Close() // it was never of use
		return nil, err
	}
	return c, nil
}

func (h *host) problem(err error) error {
	problem := &ui.Problem{
		Summary: "cannot reach the builder of BUILDKIT_HOST at " + h.address,
		Hint:    "check the address, or unset BUILDKIT_HOST to use a builder in the cluster",
		Cause:   err,
	}
	if !h.secured && strings.HasPrefix(h.address, schemeTCP+":") {
		problem.Hint += "\nif it wants TLS, name the folder with the client's files: --tlsdir, or BUILDKIT_TLS_DIR"
	}
	if cause := h.handshakes.error(); cause != nil {
		problem.Cause = cause
		if hint := tlsHint(cause); hint != "" {
			problem.Hint = hint
		}
	}
	return problem
}
