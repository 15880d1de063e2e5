package selfsigned

import (
	"crypto/x509"
	"net"
	"testing"
	"time"
)

func TestCertificateIsItsOwnAuthority(t *testing.T) {
	der, key, err := New(Options{
		Name: "a", DNSNames: []string{"a.example.com"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)},
		Usage: x509.ExtKeyUsageServerAuth, Before: time.Hour, After: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		t.Error("the key is another certificate's")
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	for name, valid := range map[string]bool{"a.example.com": true, "127.0.0.1": true, "b.example.com": false, "127.0.0.2": false} {
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); (err == nil) != valid {
			t.Errorf("for %s: %v, valid should be %v", name, err, valid)
		}
	}
	client := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := cert.Verify(client); err == nil {
		t.Error("it is accepted for another end")
	}
	later := x509.VerifyOptions{Roots: roots, CurrentTime: time.Now().Add(2 * time.Hour)}
	if _, err := cert.Verify(later); err == nil {
		t.Error("it is accepted after its time")
	}
}
