package environ

import (
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"okteto/internal/contract"
)

// given sets the variable to a descriptor that has the content.
func given(t *testing.T, content string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer w.Close()
		_, _ = w.WriteString(content)
	}()
	t.Cleanup(func() { r.Close() })
	t.Setenv(contract.EnvStartEnviron, fmt.Sprint(r.Fd()))
}

func TestContainer(t *testing.T) {
	want := []string{"a.b=c", "EMPTY=", "LINES=one\ntwo", "BIG=" + strings.Repeat("x", 200_000)}
	encoded := base64.StdEncoding.EncodeToString([]byte(strings.Join(want, "\x00") + "\x00"))
	var lines strings.Builder
	for line := range slices.Chunk([]byte(encoded), 76) {
		lines.Write(append(line, '\n'))
	}
	given(t, lines.String())
	got, err := Container()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%.200q, %v", got, err)
	}
	get := Lookup(got)
	if get("a.b") != "c" || get("EMPTY") != "" || get("a") != "" || get("LINES") != "one\ntwo" {
		t.Error("a variable is not found")
	}
}

// TestFallback: without a usable descriptor the own environment has to do.
func TestFallback(t *testing.T) {
	t.Setenv("OWN", "yes")
	check := func(wantError bool) {
		t.Helper()
		got, err := Container()
		if (err != nil) != wantError || !slices.Contains(got, "OWN=yes") {
			t.Errorf("%q, %v", got, err)
		}
		if slices.ContainsFunc(got, func(kv string) bool { return strings.HasPrefix(kv, contract.EnvStartEnviron) }) {
			t.Error("sessions would see the variable")
		}
	}
	check(false)
	given(t, "\n") // an empty environment
	if got, err := Container(); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	for _, content := range []string{"not readable", "QQ"} {
		given(t, content)
		check(true)
	}
	for _, value := range []string{"", "three", "-1", "60000"} {
		t.Setenv(contract.EnvStartEnviron, value)
		check(true)
	}
}
