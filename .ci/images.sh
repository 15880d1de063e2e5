#!/bin/bash
# images.sh: builds the images okteto/bin:dev (the init image), okteto/remote:dev,
# okteto/devbase:dev and okteto/samples-api:dev for this machine's architecture, and
# loads them into the test cluster if there is one.
#
# images.sh multiarch NAME: builds NAME/bin and NAME/remote for linux/amd64 and
# linux/arm64 with buildx and pushes them.
#
# Both want what `make build` leaves in bin.
set -euo pipefail
# shellcheck source=e2e/cluster/lib.sh
. "$(dirname "$0")/../e2e/cluster/lib.sh"
cd "$ROOT"
: "${VERSION:?is set by make images}"
context=bin/image
agents=(okteto-remote okteto-supervisor syncthing clean)

# stage ARCHITECTURE: the files of both images, below $context.
stage() {
  local bin=$context/bin/linux-$1 remote=$context/remote/linux-$1 name
  rm -rf "$bin" "$remote"
  mkdir -p "$bin"/usr/{local,bin-image}/bin {"$bin","$remote"}/usr/share/licenses/okteto "$remote/usr/local/bin"
  for name in "${agents[@]}"; do install -m 755 "bin/linux-$1/$name" "$bin/usr/local/bin/$name"; done
  install -m 755 bin-image/start.sh "$bin/usr/local/bin/start.sh"
  echo "$VERSION" >"$bin/usr/local/bin/version.txt"
  chmod 755 "$bin/usr/local/bin/version.txt"
  ln "$bin"/usr/local/bin/* "$bin/usr/bin-image/bin/"
  install -m 755 "bin/linux-$1/okteto-remote" "$remote/usr/local/bin/okteto-remote"
  for root in "$bin" "$remote"; do install -m 644 bin/licenses.txt "$root/usr/share/licenses/okteto/"; done
  find "$context" -exec touch -h -d @0 {} +
}

# build TAG DOCKERFILE CONTEXT [ARGUMENT...]
build() {
  local network=()
  # The default network of a Docker that runs in a container may lead nowhere.
  [ "$(uname)" != Linux ] || network=(--network host)
  quietly env DOCKER_BUILDKIT="$BUILDKIT" docker build "${network[@]}" -t "$1" -f "$2" "${@:4}" "$3"
}

local_images() {
  local architecture debian=$PUBLIC_DEBIAN base empty=$STATE/empty
  architecture=$(go env GOARCH)
  registry_reachable || debian=$(e2e/cluster/debian.sh | tail -n 1)
  base=$(.ci/base.sh | tail -n 1)
  stage "$architecture"
  build okteto/bin:dev Dockerfile.bin . --build-arg BASE="$base" --build-arg TARGETARCH="$architecture"
  build okteto/remote:dev Dockerfile.remote . --build-arg BASE="$base" --build-arg TARGETARCH="$architecture"
  mkdir -p "$empty"
  build okteto/devbase:dev e2e/cluster/devbase.Dockerfile "$empty" --build-arg BASE="$debian"
  build okteto/samples-api:dev e2e/samples/api/Dockerfile e2e/samples/api
  say "images okteto/bin:dev okteto/remote:dev okteto/devbase:dev okteto/samples-api:dev"
}

# load IMAGE...: brings the cluster's nodes up to date. What a node has is noted on
# the node itself, so that the note goes when the node goes.
load() {
  local image node wanted have note=/var/lib/okteto-e2e-images stale=()
  for image; do
    wanted="$image $(docker image inspect -f '{{.Id}}' "$image")"
    for node in $(kind_nodes); do
      have=$(docker exec "$node" sh -c "grep -sxF '$wanted' $note" || true)
      [ -n "$have" ] || { stale+=("$image") && break; }
    done
  done
  [ "${#stale[@]}" -gt 0 ] || return 0
  quietly kind load docker-image --name "$NAME" "${stale[@]}"
  for node in $(kind_nodes); do
    for image in "${stale[@]}"; do
      wanted="$image $(docker image inspect -f '{{.Id}}' "$image")"
      docker exec "$node" sh -c "{ grep -svF '$image ' $note; echo '$wanted'; } >$note.new; mv $note.new $note"
    done
  done
  say "loaded into the cluster: ${stale[*]}"
}

case ${1:-} in
  '')
    "$SOURCE/docker.sh"
    # buildx, where there is one, is the builder that is maintained.
    if docker buildx version >/dev/null 2>&1; then BUILDKIT=1; else BUILDKIT=0; fi
    local_images
    if [ -n "$(docker ps -q --filter "label=io.x-k8s.kind.cluster=$NAME")" ]; then
      load okteto/bin:dev okteto/devbase:dev okteto/samples-api:dev
    fi
    ;;
  multiarch)
    [ -n "${2:-}" ] || fail "no name for the images" "make images-multiarch IMAGE=registry/name"
    docker buildx version >/dev/null 2>&1 || fail "this Docker has no buildx" "https://docs.docker.com/go/buildx/"
    for architecture in amd64 arm64; do stage $architecture; done
    for image in bin remote; do
      docker buildx build --platform linux/amd64,linux/arm64 -t "$2/$image:${TAG:-dev}" -f "Dockerfile.$image" --push .
    done
    ;;
  *) fail "usage: $0 [multiarch NAME]" ;;
esac
