package builder

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/selfsigned"
)

// Keys of the builder's Secret. The pod mounts all but the client's key.
const (
	serverCertKey = "cert.pem"
	serverKeyKey  = "key.pem"
	clientCertKey = "ca.pem" // its own authority, and the only one
	clientKeyKey  = "client-key.pem"
	configKey     = "buildkitd.toml"
)

// validity of the certificates: the Secret is made anew by the first build
// after a prune.
const validity = 10 * 365 * 24 * time.Hour

// newKeys makes the two pairs, each its own authority.
func newKeys() (map[string][]byte, error) {
	keys := map[string][]byte{}
	for _, pair := range []struct {
		cert, key string
		usage     x509.ExtKeyUsage
	}{
		{serverCertKey, serverKeyKey, x509.ExtKeyUsageServerAuth},
		{clientCertKey, clientKeyKey, x509.ExtKeyUsageClientAuth},
	} {
		cert, private, err := selfsigned.New(selfsigned.Options{
			Name: Name, DNSNames: []string{Name}, Usage: pair.usage, Before: 24 * time.Hour, After: validity,
		})
		if err != nil {
			return nil, fmt.Errorf("make the builder's certificates: %w", err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			return nil, fmt.Errorf("make the builder's keys: %w", err)
		}
		keys[pair.cert] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
		keys[pair.key] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	return keys, nil
}

// tlsConfig proves to be a client of this namespace's builder, and accepts
// nothing but that builder.
func (b *Builder) tlsConfig(ctx context.Context) (*tls.Config, error) {
	secret, err := b.Client.Clientset.CoreV1().Secrets(b.Client.Namespace).Get(ctx, Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, errNotYet
	}
	if err != nil {
		return nil, b.Client.Explain(err, "read the builder's keys")
	}
	pair, err := tls.X509KeyPair(secret.Data[clientCertKey], secret.Data[clientKeyKey])
	roots := x509.NewCertPool()
	if err == nil && !roots.AppendCertsFromPEM(secret.Data[serverCertKey]) {
		err = errors.New("it has no certificate")
	}
	if err != nil {
		return nil, b.problem("the Secret "+Name+" is not a builder's", err.Error()+"\nokteto build --prune removes it", err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: Name,
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
	}, nil
}
