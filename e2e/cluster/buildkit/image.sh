#!/bin/bash
# Builds the image with BuildKit's daemon and a registry from their Go modules and
# Debian's packages, loads it into the cluster's nodes, and prints its name on the
# last line. For the tests of okteto build, wherever no image registry is reached.
set -euo pipefail
# shellcheck source=e2e/cluster/lib.sh
. "$(dirname "$0")/../lib.sh"

image=okteto-e2e/buildkit:$(digest e2e/cluster/buildkit e2e/cluster/debian.sh)

build() {
  local debian context=$STATE/buildkit
  debian=$("$SOURCE/debian.sh" | tail -n 1)
  mkdir -p "$context"
  CGO_ENABLED=0 go -C "$SOURCE/buildkit" build -trimpath -ldflags='-s -w' -o "$context/" \
    github.com/moby/buildkit/cmd/buildkitd github.com/moby/buildkit/cmd/buildctl \
    github.com/rootless-containers/rootlesskit/v3/cmd/rootlesskit \
    github.com/distribution/distribution/v3/cmd/registry
  say "buildkitd, buildctl, rootlesskit and registry compiled"
  cp "$SOURCE/buildkit/registry.yml" "$context/"
  quietly env DOCKER_BUILDKIT=0 docker build --network host -t "$image" \
    -f "$SOURCE/buildkit/Dockerfile" --build-arg BASE="$debian" "$context"
  docker run --rm --entrypoint cat "$image" /bin/busybox >"$context/busybox"
  mkdir -p "$BIN"
  cp "$context/buildctl" "$BIN/buildctl"
}

# helm for the tests of okteto pipeline, beside the cluster's own tools.
helm() {
  [ "$BIN/helm" -nt "$SOURCE/helm/go.mod" ] && return
  CGO_ENABLED=0 go -C "$SOURCE/helm" build -trimpath -ldflags='-s -w' -o "$BIN/helm" helm.sh/helm/v3/cmd/helm
  touch "$BIN/helm"
  say "helm compiled"
}

# load: nodes that have the image already are left alone.
load() {
  local node
  for node in $(kind_nodes); do
    docker exec "$node" ctr -n k8s.io images ls -q | grep -qx "docker.io/$image" && continue
    docker save "$image" | docker exec -i "$node" ctr -n k8s.io images import --digests - >/dev/null
  done
}

{
  { image_exists "$image" && [ -x "$BIN/buildctl" ] && [ -s "$STATE/buildkit/busybox" ]; } || build
  helm
  load
  say "$image is on the nodes"
} >&2
echo "$image"
