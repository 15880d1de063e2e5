package doctor

import (
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	for _, c := range []struct{ in, secret, kept string }{
		{`PASSWORD=hunter2 next`, "hunter2", "next"},
		{`level=INFO token: "a b c" msg=x`, "a b c", "msg=x"},
		{`"apiKey":"0123abc","x":1`, "0123abc", `"x":1`},
		{`Authorization: Basic-abc`, "Basic-abc", "Authorization"},
		{"Bearer eyJhbGciOi.J9.x_y and on", "eyJhbGciOi", "and on"},
		{"a\n-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\nb", "AAAA", "b"},
		{`DB_PASSWORD_FILE='/run/x'`, "/run/x", "DB_PASSWORD_FILE"},
	} {
		got := string(Redact([]byte(c.in)))
		if strings.Contains(got, c.secret) || !strings.Contains(got, c.kept) {
			t.Errorf("Redact(%q) = %q", c.in, got)
		}
	}
	plain := "time=2026 level=INFO msg=\"pod runs\" pod=api-1 node=n"
	if got := string(Redact([]byte(plain))); got != plain {
		t.Errorf("Redact changed %q to %q", plain, got)
	}
}
