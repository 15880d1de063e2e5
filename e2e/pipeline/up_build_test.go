//go:build e2e

package pipeline

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// devDockerfile makes the development image that TestUpBuild runs.
const devDockerfile = baseDockerfile + `ARG TEXT
RUN echo "%s $TEXT" > /text
`

// TestUpBuild builds the image of an environment as its manifest says, and finds
// a change of the Dockerfile in the next pod.
func TestUpBuild(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.buildkit()
	s.copyBusybox()
	s.kubectl("apply", "-f", filepath.Join(s.Root, "e2e", "samples", "api", "k8s.yml"))
	s.write(map[string]string{
		".dockerignore": "*\n!busybox\n",
		"okteto.yml": `name: api
image:
  name: okteto.dev/api-dev:1
  context: .
  dockerfile: dev.Dockerfile
  args: {TEXT: from the manifest}
workdir: /app
sync: [".:/app"]
persistentVolume: {enabled: false}
`,
	})
	images := map[string]bool{}
	for _, text := range []string{"one", "two"} {
		s.write(map[string]string{"dev.Dockerfile": fmt.Sprintf(devDockerfile, text)})
		s.MustOkteto("up", "--build", "--detach")
		if out := s.MustOkteto("exec", "--", "cat", "/text"); out != text+" from the manifest\n" {
			t.Errorf("the image has %q, want that of %q", out, text)
		}
		image := s.kubectl("get", "deployment", "api-okteto", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
		if want := s.node + "/" + s.CLI.Namespace + "/api-dev@sha256:"; !strings.HasPrefix(image, want) {
			t.Errorf("the pod runs %q, want %s…", image, want)
		}
		images[image] = true
		s.MustOkteto("down")
	}
	if len(images) != 2 {
		t.Errorf("two Dockerfiles give the images %v", images)
	}

	// Without --build, the name is used: it is that of the last build.
	s.MustOkteto("up", "--detach")
	if out := s.MustOkteto("exec", "--", "cat", "/text"); out != "two from the manifest\n" {
		t.Errorf("the name leads to an image with %q", out)
	}
	s.MustOkteto("down")

	s.write(map[string]string{"okteto.yml": "name: api\nimage: {name: okteto.dev/api-dev:1, dockerfile: dev.Dockerfile, target: gone}\n"})
	if result := s.Okteto(nil, "up", "--build", "--detach"); result.Code != 1 || !strings.Contains(result.Stderr, "gone") {
		t.Errorf("a target that is not there: exit code %d: %s", result.Code, result.Stderr)
	}
	s.write(map[string]string{"okteto.yml": "name: api\nimage: golang\n"})
	if result := s.Okteto(nil, "up", "--build", "--detach"); result.Code != 1 || !strings.Contains(result.Stderr, "write image as a mapping") {
		t.Errorf("nothing to build: exit code %d: %s", result.Code, result.Stderr)
	}
	if left := s.kubectl("get", "deployments", "-o", "name"); left != "deployment.apps/api\n" {
		t.Errorf("after failed builds there are %s", left)
	}
}
