# shellcheck shell=bash
# What the scripts of the test cluster share. Sourced, with ROOT as a result.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC2034 # used by the scripts that source this file
{
  NAME=okteto-e2e
  STATE=$ROOT/.cluster
  BIN=$STATE/bin
  SOURCE=$ROOT/e2e/cluster
}
export KUBECONFIG=$STATE/kubeconfig
export PATH=$BIN:$PATH:/usr/sbin:/sbin

started=$SECONDS
# say TEXT: one step of what is going on, with the seconds since the start.
say() { printf '%4ds  %s\n' "$((SECONDS - started))" "$*"; }

fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  [ $# = 0 ] || printf 'hint:  %s\n' "$@" >&2
  exit 1
}

# quietly COMMAND...: shows the command's output only if it fails. The command runs
# in the background because a function in a condition goes on after its errors.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 &
  wait $! || status=$?
  [ "$status" = 0 ] || cat "$log" >&2
  rm -f "$log"
  return "$status"
}

# digest PATH...: a short name for the contents of files and folders below $ROOT.
digest() {
  (cd "$ROOT" && find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -c1-12
}

image_exists() { docker image inspect "$1" >/dev/null 2>&1; }

# registry_reachable: true where the public base images can be pulled.
# OKTETO_E2E_OFFLINE=1 or 0 skips the question.
registry_reachable() {
  case ${OKTETO_E2E_OFFLINE:-} in
    1) return 1 ;;
    0) return 0 ;;
  esac
  local answer=$STATE/registry
  # Asked once an hour at most: where packets are dropped, asking takes seconds.
  if [ -z "$(find "$answer" -mmin -60 2>/dev/null)" ]; then
    mkdir -p "$STATE"
    if timeout 15 docker pull -q "$PUBLIC_BUSYBOX" >/dev/null 2>&1; then echo yes; else echo no; fi >"$answer"
  fi
  [ "$(cat "$answer")" = yes ]
}

# The public images that others are built from where a registry can be reached.
PUBLIC_BUSYBOX=busybox:stable-musl
# shellcheck disable=SC2034
PUBLIC_DEBIAN=debian:bookworm-slim

# kind_nodes: the containers of the cluster's nodes, stopped ones too.
kind_nodes() { docker ps -aq --filter "label=io.x-k8s.kind.cluster=$NAME"; }
