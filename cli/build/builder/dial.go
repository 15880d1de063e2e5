package builder

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	controlapi "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc/codes"

	"okteto/cli/tunnel"
)

// answerTimeout of a builder that runs.
const answerTimeout = 10 * time.Second

// dial connects to the builder in a pod and makes sure that it answers.
func (b *Builder) dial(ctx context.Context, pod string) (*client.Client, error) {
	config, err := b.tlsConfig(ctx)
	if err != nil {
		return nil, err
	}
	dialer := tunnel.NewDialer(b.Client.Config, b.Client.Clientset.CoreV1().RESTClient())
	c, err := client.New(ctx, "tcp://"+Name, client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		// The forward outlives the dial, whose context ends with it.
		conn, err := dialer.Dial(ctx, b.Client.Namespace, pod, port)
		if err != nil {
			return nil, err
		}
		secured := tls.Client(conn, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close() // the handshake's error says more
			return nil, err
		}
		return secured, nil
	}))
	if err != nil {
		return nil, fmt.Errorf("connect to the builder: %w", err)
	}
	if err := Answers(ctx, c); err != nil {
		_ = c.Close() // it was never of use
		return nil, err
	}
	return c, nil
}

// Answers reports whether a builder answers. One that is too old to say more
// than that it does not know the question has answered.
func Answers(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := c.ControlClient().Info(ctx, &controlapi.InfoRequest{})
	if err != nil && grpcerrors.Code(err) != codes.Unimplemented {
		return err
	}
	return nil
}
