//go:build e2e

package pipeline

import (
	"os/exec"
	"testing"
	"time"
)

const (
	// target of an unchanged rebuild, as a multiple of buildctl's time for it.
	target = 1.2
	// limit from which on it is not the machine that is busy, but something that
	// is done again.
	limit = 2.5
)

// TestRebuildIsAsFastAsBuildctl rebuilds and pushes what has not changed with
// okteto build and with buildctl, side by side on one builder. The best of each
// are compared, again if other work on the machine was in the way.
func TestRebuildIsAsFastAsBuildctl(t *testing.T) {
	s := newStage(t)
	s.buildkit()
	s.copyBusybox()
	s.write(map[string]string{"Dockerfile": baseDockerfile, ".dockerignore": "*\n!busybox\n"})
	host := "kube-pod://buildkitd?namespace=" + s.CLI.Namespace
	image := s.node + "/" + s.CLI.Namespace + "/speed:latest"
	ours := func() {
		s.MustOkteto("build", "--progress", "plain", "-t", "okteto.dev/speed")
	}
	reference := func() {
		cmd := exec.CommandContext(t.Context(), "buildctl", "--addr", host, "build", "--progress", "plain", "--frontend", "dockerfile.v0",
			"--local", "context=.", "--local", "dockerfile=.", "--output", "type=image,name="+image+",push=true", "--export-cache", "type=inline")
		cmd.Dir = s.Dir
		cmd.Env = append(cmd.Environ(), "KUBECONFIG="+s.CLI.Kubeconfig)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("buildctl: %v: %s", err, out)
		}
	}
	ours()
	reference()
	best := map[string]time.Duration{}
	measure := func(name string, run func()) {
		begin := time.Now()
		run()
		if took := time.Since(begin); best[name] == 0 || took < best[name] {
			best[name] = took
		}
	}
	var ratio float64
	for range 5 {
		for range 6 {
			measure("okteto build", ours)
			measure("buildctl", reference)
		}
		ratio = float64(best["okteto build"]) / float64(best["buildctl"])
		if ratio <= target {
			break
		}
	}
	t.Logf("unchanged rebuild and push: okteto build takes %.2f times as long as buildctl, target %.1f", ratio, target)
	if ratio > limit {
		t.Errorf("the ratio is above %.1f: %s", limit, best["okteto build"].String()+" and "+best["buildctl"].String())
	}
}
