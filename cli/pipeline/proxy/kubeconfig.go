package proxy

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"okteto/cli/selfsigned"
)

// contextName of the one context in the kubeconfig.
const contextName = "okteto"

// validity of the certificate, either way of now: a run is shorter, a clock may
// be set meanwhile.
const validity = 48 * time.Hour

// Kubeconfig returns the content of the kubeconfig that leads to the proxy. It
// holds the token, so it must not be readable by others.
func (p *Proxy) Kubeconfig() ([]byte, error) {
	content, err := clientcmd.Write(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{contextName: {
			Server: "https://" + p.listener.Addr().String(), CertificateAuthorityData: p.ca,
			DisableCompression: true,
		}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{contextName: {Token: p.token}},
		Contexts:       map[string]*clientcmdapi.Context{contextName: {Cluster: contextName, AuthInfo: contextName, Namespace: p.options.Namespace}},
		CurrentContext: contextName,
	})
	if err != nil {
		return nil, fmt.Errorf("write kubeconfig: %w", err)
	}
	return content, nil
}

// credentials of one run: a certificate that is its own authority, as PEM, and
// a token.
func credentials() (tls.Certificate, []byte, string, error) {
	der, key, err := selfsigned.New(selfsigned.Options{
		Name: "okteto pipeline", IPs: []net.IP{net.IPv4(127, 0, 0, 1)},
		Usage: x509.ExtKeyUsageServerAuth, Before: validity, After: validity,
	})
	if err != nil {
		return tls.Certificate{}, nil, "", err
	}
	secret := make([]byte, 32)
	rand.Read(secret) // never fails: crypto/rand
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), hex.EncodeToString(secret), nil
}
