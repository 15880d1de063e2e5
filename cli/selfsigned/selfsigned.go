// Package selfsigned makes certificates that are their own authority: for two ends
// that get them by a way they trust, and accept nothing else.
package selfsigned

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Options of a certificate.
type Options struct {
	// Name is its common name; DNSNames and IPs are who it is valid for.
	Name     string
	DNSNames []string
	IPs      []net.IP
	// Usage is that of the one end which has the key.
	Usage x509.ExtKeyUsage
	// Before and After now it is valid; clocks differ.
	Before, After time.Duration
}

// New returns a certificate, DER encoded, and its key.
func New(o Options) ([]byte, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: o.Name},
		DNSNames:              o.DNSNames,
		IPAddresses:           o.IPs,
		NotBefore:             now.Add(-o.Before),
		NotAfter:              now.Add(o.After),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{o.Usage},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate: %w", err)
	}
	return der, key, nil
}
