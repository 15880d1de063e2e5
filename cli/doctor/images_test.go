package doctor

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/types"
	corev1 "k8s.io/api/core/v1"
)

// A registry as the distribution specification has it, with one image that all may
// have and one that a login is needed for.
func registry(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case strings.HasPrefix(r.URL.Path, "/v2/public/manifests/1"), user == "me" && password == "right":
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			w.Header().Set("Content-Length", "2")
			w.Header().Set("Docker-Content-Digest", "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
		case strings.HasPrefix(r.URL.Path, "/v2/private/"):
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestImages(t *testing.T) {
	host := registry(t)
	nobody := configfile.New("")
	me := configfile.New("")
	me.AuthConfigs[host] = types.AuthConfig{Username: "me", Password: "right"}
	onNode := map[string]bool{"docker.io/library/busybox:latest": true}
	for _, c := range []struct {
		name, image string
		policy      corev1.PullPolicy
		login       *configfile.ConfigFile
		there       map[string]bool
		want, fix   string // the verdict, or the fix
	}{
		{"on a node", "busybox", corev1.PullIfNotPresent, nobody, onNode, "is on a node", ""},
		{"in a registry", host + "/public:1", corev1.PullAlways, nobody, onNode, "is in its registry", ""},
		{"another tag", host + "/public:2", corev1.PullAlways, nobody, nil, "", "push it"},
		{"no login", host + "/private:1", corev1.PullIfNotPresent, nobody, onNode, "", "pull secret"},
		{"login", host + "/private:1", corev1.PullIfNotPresent, me, onNode, "is in its registry", ""},
		{"never pulled", host + "/public:1", corev1.PullNever, nobody, onNode, "", "load it"},
		{"no name", "No Image", corev1.PullAlways, nobody, nil, "", "correct image"},
	} {
		t.Run(c.name, func(t *testing.T) {
			look := imageLook{there: c.there, credentials: c.login}
			got, err := look.one(t.Context(), corev1.Container{Image: c.image, ImagePullPolicy: c.policy})
			var refused *refusedError
			switch {
			case c.fix == "" && (err != nil || got != c.want):
				t.Errorf("%q, %v; want %q", got, err, c.want)
			case c.fix != "" && (!errors.As(err, &refused) || !strings.Contains(refused.fix, c.fix)):
				t.Errorf("error %#v, want one with the fix %q", err, c.fix)
			}
		})
	}
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close() // a registry that cannot be reached is no fault of the image
	look := imageLook{credentials: nobody}
	_, err := look.one(t.Context(), corev1.Container{Image: strings.TrimPrefix(server.URL, "http://") + "/public:1"})
	if refused := (*refusedError)(nil); err == nil || errors.As(err, &refused) {
		t.Errorf("no registry there: %v", err)
	}
}
