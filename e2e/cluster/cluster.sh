#!/bin/bash
# cluster.sh up: a kind cluster of two nodes for the tests, with its kubeconfig in
# .cluster/kubeconfig and a kubectl of its version in .cluster/bin. One that exists
# and answers is kept. The user's own kubeconfig is not touched.
#
# cluster.sh down: removes it, and keeps what was built for it.
set -euo pipefail
# shellcheck source=e2e/cluster/lib.sh
. "$(dirname "$0")/lib.sh"

# build_kind: kind in the version of its go.mod, so that nothing is downloaded but
# by the Go module proxy.
build_kind() {
  mkdir -p "$BIN"
  CGO_ENABLED=0 go -C "$SOURCE/kind" build -trimpath -ldflags='-s -w' -o "$BIN/kind" sigs.k8s.io/kind
}

# answers SECONDS: true as soon as the API server serves and both nodes are Ready.
answers() {
  local deadline=$((SECONDS + $1))
  until kubectl --request-timeout=5s wait --for=condition=Ready nodes --all --timeout=5s >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.5
  done
}

# dns SECONDS: waits for the last part of the cluster to come up.
dns() { quietly kubectl -n kube-system rollout status deployment/coredns --timeout="$1s"; }

# fetch_kubectl: the nodes' own kubectl is of the right version and needs no
# network; where it cannot run, such as on macOS, one must be installed.
fetch_kubectl() {
  rm -f "$BIN/kubectl"
  if [ "$(uname)" = Linux ]; then
    docker cp -L $NAME-control-plane:/usr/bin/kubectl "$BIN/kubectl" >/dev/null
  else
    command -v kubectl >/dev/null || fail "kubectl is not installed"
  fi
}

# reuse: true if a cluster that exists answers, after its nodes are started when
# the machine or its Docker daemon was restarted.
reuse() {
  local nodes
  mapfile -t nodes < <(kind_nodes)
  [ "${#nodes[@]}" = 2 ] || return 1
  docker start "${nodes[@]}" >/dev/null || return 1
  kind export kubeconfig --name $NAME -q || return 1
  [ -x "$BIN/kubectl" ] || fetch_kubectl || return 1
  answers 60 && dns 60
}

create() {
  local image=() node
  [ -z "$(kind_nodes)" ] || kind delete cluster --name $NAME -q
  if registry_reachable; then
    say "creating the cluster with kind's published node image"
  else
    node=$("$SOURCE/node-image.sh" | tail -n 1)
    image=(--image "$node")
    say "creating the cluster with $node"
  fi
  quietly kind create cluster --name $NAME --config "$SOURCE/kind.yaml" "${image[@]}"
  fetch_kubectl
  answers 120 || fail "the nodes are not ready after 120 s" "look at: $BIN/kind export logs --name $NAME"
  dns 120
  quietly kubectl -n default wait --for=create serviceaccount/default --timeout=60s
}

up() {
  "$SOURCE/docker.sh"
  build_kind
  if reuse; then
    say "cluster $NAME is up, reused"
  else
    [ -z "$(kind_nodes)" ] || say "cluster $NAME does not answer: making it anew"
    create
    say "cluster $NAME is up"
  fi
  echo "      KUBECONFIG=$KUBECONFIG"
}

down() {
  docker info >/dev/null 2>&1 || fail "no Docker daemon answers"
  build_kind
  kind delete cluster --name $NAME -q
  rm -f "$KUBECONFIG"
  say "cluster $NAME is gone"
}

case ${1:-} in
  up | down) "$1" ;;
  *) fail "usage: $0 up | down" ;;
esac
