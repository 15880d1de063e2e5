#!/bin/bash
# Builds the kind node image from Go modules and Debian's packages alone and prints
# its name on the last line. The name carries a digest of what it is made from, so
# an image that exists is up to date.
set -euo pipefail
# shellcheck source=e2e/cluster/lib.sh
. "$(dirname "$0")/lib.sh"

KUBERNETES=$(sed -n 's#^\tk8s.io/kubernetes v##p' "$SOURCE/hyper/go.mod")
# The tags that kubeadm of this version asks for (cmd/kubeadm/app/constants).
ETCD=3.6.5-0 COREDNS=v1.12.1 PAUSE=3.10.1
REGISTRY=registry.k8s.io

image=okteto-e2e/node:$(digest e2e/cluster/{hyper,kind,pause,image,node-image.sh,debian.sh})
if image_exists "$image"; then
  echo "$image"
  exit
fi
context=$STATE/node-image
mkdir -p "$context"

build() { # TAG DOCKERFILE [ARGUMENT...]
  quietly env DOCKER_BUILDKIT=0 docker build --network host -t "$1" -f "$SOURCE/image/$2.Dockerfile" "${@:3}" "$context"
}

programs() {
  export CGO_ENABLED=0
  local version=k8s.io/component-base/version minor=${KUBERNETES#*.}
  go -C "$SOURCE/pause" build -trimpath -ldflags='-s -w' -o "$context/pause" .
  # The collector costs more here than the memory it frees (5 GiB at most).
  GOGC=${GOGC:-400} go -C "$SOURCE/hyper" build -trimpath -o "$context/hyper" -ldflags="-s -w \
    -X $version.gitVersion=v$KUBERNETES -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*} \
    -X $version.gitTreeState=clean" .
}

# kind's entrypoint and units, of the version that makes the cluster.
kind_files() {
  rm -rf "$context/kindfiles"
  cp -r "$(go -C "$SOURCE/kind" list -m -f '{{.Dir}}' sigs.k8s.io/kind)/images/base/files" "$context/kindfiles"
  chmod -R u+w "$context/kindfiles"
  rm -rf "$context/kindfiles"/{LICENSES,etc/containerd}
  find "$context/kindfiles" \( -name '*.sh' -o -name entrypoint \) -exec chmod 755 {} +
}

system_images() {
  build "$REGISTRY/okteto-e2e-system:local" system --build-arg BASE="$debian"
  images=("$REGISTRY/okteto-e2e-system:local")
  local tag
  for tag in {kube-apiserver,kube-controller-manager,kube-scheduler,kube-proxy}:v$KUBERNETES etcd:$ETCD; do
    docker tag "${images[0]}" "$REGISTRY/$tag"
    images+=("$REGISTRY/$tag")
  done
  build $REGISTRY/coredns/coredns:$COREDNS coredns --build-arg BASE="${images[0]}"
  build $REGISTRY/pause:$PAUSE pause
  images+=("$REGISTRY/coredns/coredns:$COREDNS" "$REGISTRY/pause:$PAUSE")
}

# preload BARE IMAGE: lets containerd of the node BARE unpack the pod images onto a
# volume (its overlayfs cannot stand on Docker's), drops the archives of the layers
# and adds the rest to IMAGE: a new node then has its images at once.
preload() {
  docker run -d --name $NAME-preload --privileged -v $NAME-preload:/var/lib/containerd \
    --entrypoint containerd "$1" >/dev/null
  until docker exec $NAME-preload ctr version >/dev/null 2>&1; do sleep 0.1; done
  docker save "${images[@]}" | docker exec -i $NAME-preload ctr -n k8s.io images import --digests - >/dev/null
  docker exec $NAME-preload sh -c "
    find /var/lib/containerd/*.content.*/blobs -size +1M -printf 'sha256:%f\n' | xargs ctr -n k8s.io content rm
    ctr -n k8s.io leases create --id gc && ctr -n k8s.io leases delete --sync gc" >/dev/null
  # The image's stop signal means nothing to containerd.
  docker kill -s TERM $NAME-preload >/dev/null
  docker wait $NAME-preload >/dev/null
  docker create --name $NAME-commit "$1" >/dev/null
  docker run --rm -v $NAME-preload:/from --entrypoint tar "$1" -C /from -c . |
    docker cp -a - $NAME-commit:/var/lib/containerd
  docker commit $NAME-commit "$2" >/dev/null
}
drop_preload() {
  docker rm -f $NAME-preload $NAME-commit >/dev/null 2>&1 || true
  docker volume rm -f $NAME-preload >/dev/null 2>&1 || true
}

{
  say "no node image $image yet: building it (Kubernetes takes about 5 minutes on two cores)"
  debian=$("$SOURCE/debian.sh" | tail -n 1)
  build okteto-e2e/nodebase nodebase --build-arg BASE="$debian"
  say "Debian packages of a node"
  cp -r "$SOURCE"/image/{containerd.toml,manifests} "$context"
  kind_files
  programs
  say "Kubernetes v$KUBERNETES, etcd, CoreDNS compiled"
  system_images
  build okteto-e2e/node:bare node --build-arg BASE=okteto-e2e/nodebase --build-arg KUBERNETES="$KUBERNETES"
  say "node and system pod images"
  trap drop_preload EXIT
  drop_preload # of a run that was killed
  preload okteto-e2e/node:bare "$image"
  say "pod images preloaded"
  rm -rf "$context"
} >&2
echo "$image"
