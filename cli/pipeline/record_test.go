package pipeline

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestRecordSurvivesTheConfigMap(t *testing.T) {
	variables, err := encodeVariables([]Variable{{Name: "A", Value: "1"}, {Name: "B", Value: "hidden", secret: true}})
	if err != nil {
		t.Fatal(err)
	}
	r := &Record{
		Name: "Movies App", Namespace: "ns", Status: Destroying, Repository: "https://example.com/r", Branch: "main",
		Commit: "c0ffee", File: "okteto-pipeline.yml", Icon: "i", Variables: []Variable{{Name: "A", Value: "1"}},
		Started: time.Unix(1000, 0).UTC(), Finished: time.Unix(2000, 0).UTC(), Message: "m", Log: "line\n",
		Devs: []string{"a", "b"}, Holder: "me", yaml: []byte("deploy: []"), cloned: true,
		namespaces: []string{"x", "y"}, kinds: []string{"deployments.apps", "secrets"}, destroyed: 2, lock: "l", renewed: "n", variables: variables,
	}
	cm := &corev1.ConfigMap{}
	cm.Namespace = "ns"
	r.put(cm)
	if diff := cmp.Diff(r, decodeRecord(cm), cmp.AllowUnexported(Record{}, Variable{})); diff != "" {
		t.Error(diff)
	}
	for key, value := range cm.Data {
		if strings.Contains(value, "hidden") {
			t.Errorf("%s holds the secret", key)
		}
	}
}

func TestVariables(t *testing.T) {
	t.Setenv("FROM_ENV", "value")
	got, err := ParseVariables([]string{"A=1=2", "EMPTY=", "DB_PASSWORD=x", "FROM_ENV"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Variable{{"A", "1=2", false}, {"EMPTY", "", false}, {"DB_PASSWORD", "x", true}, {"FROM_ENV", "value", true}}
	if !slices.Equal(got, want) {
		t.Errorf("ParseVariables = %v, want %v", got, want)
	}
	for _, bad := range []string{"", "=x", "1A=x", "A B=x", "NOT_THERE_AT_ALL"} {
		if _, err := ParseVariables([]string{bad}); err == nil {
			t.Errorf("ParseVariables(%q) does not fail", bad)
		}
	}
}

func TestTailHasTheLastLinesWithoutSecrets(t *testing.T) {
	tail := newTail([]string{"pass", "password"})
	line := strings.Repeat("x", 60) + " password and pass\n"
	for range 4000 {
		if _, err := tail.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tail.Write([]byte("the end\n")); err != nil {
		t.Fatal(err)
	}
	got := tail.String()
	if len(got) > tailSize || len(got) < tailSize/2 {
		t.Errorf("%d bytes are kept, want at most %d, and not much less", len(got), tailSize)
	}
	want := strings.Repeat("x", 60) + " *** and ***\n"
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "the end\n") {
		t.Errorf("tail begins with %.80q and ends with %q", got, got[len(got)-20:])
	}
}

func TestRepositoriesAreRecordedWithoutCredentials(t *testing.T) {
	for repository, want := range map[string][2]string{
		"https://example.com/a.git":              {"https://example.com/a.git", ""},
		"https://user:secret@example.com/a.git":  {"https://example.com/a.git", "secret"},
		"https://token@example.com/a":            {"https://example.com/a", "token"},
		"git@example.com:a/b.git":                {"git@example.com:a/b.git", ""},
		"ssh://git@example.com/a":                {"ssh://git@example.com/a", ""},
		"ssh://git:secret@example.com:2222/a":    {"ssh://git@example.com:2222/a", "secret"},
		"/srv/repositories/a":                    {"/srv/repositories/a", ""},
		"http://x-token:abc@example.com:8080/r/": {"http://example.com:8080/r/", "abc"},
	} {
		address, secret := withoutCredentials(repository)
		if address != want[0] || secret != want[1] {
			t.Errorf("withoutCredentials(%q) = %q, %q, want %q", repository, address, secret, want)
		}
	}
}

func TestNames(t *testing.T) {
	for repository, want := range map[string]string{
		"https://example.com/okteto/Movies.git": "Movies",
		"git@example.com:movies.git":            "movies",
		"https://example.com/movies/":           "movies",
	} {
		o := Options{Source: Source{Repository: repository}}
		if got, err := o.PipelineName(); err != nil || got != want {
			t.Errorf("name of %q = %q, %v, want %q", repository, got, err, want)
		}
	}
	if got := objectNameOf("Movies App"); got != "okteto-git-movies-app" {
		t.Errorf("the ConfigMap is called %q", got)
	}
	for _, bad := range []string{"---", strings.Repeat("a", 64)} {
		if _, err := (&Options{Name: bad}).PipelineName(); err == nil {
			t.Errorf("the name %q is accepted", bad)
		}
	}
}

func TestClaimsOfStatefulSets(t *testing.T) {
	prefixes := []string{"data-db-"}
	for claim, want := range map[string]bool{"data-db-0": true, "data-db-12": true, "data-db-": false, "data-db-x-0": false, "other-0": false} {
		if madeBy(claim, prefixes) != want {
			t.Errorf("madeBy(%q) = %v", claim, !want)
		}
	}
}
