#!/bin/bash
# update.sh KUBERNETES ETCD COREDNS: writes go.mod and go.sum for these versions,
# e.g. update.sh 1.34.4 3.6.7 1.14.1.
#
# k8s.io/kubernetes replaces its staging modules by folders that a module
# depending on it cannot see, so each is pointed at its release instead. Take the
# CoreDNS whose client-go is of the same Kubernetes minor version: others do not
# compile beside it.
set -euo pipefail
cd "$(dirname "$0")"
[ $# = 3 ] || { sed -n 's/^# //p' "$0" | head -1 >&2; exit 2; }
kubernetes=$(cd / && go mod download -json "k8s.io/kubernetes@v$1" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
{
  printf 'module okteto/e2e/cluster/hyper\n\ngo 1.26.0\n\n'
  printf 'require (\n\tk8s.io/kubernetes v%s\n\tgo.etcd.io/etcd/server/v3 v%s\n\tgithub.com/coredns/coredns v%s\n)\n\n' "$@"
  printf 'replace (\n'
  sed -n "s#^\t\(k8s.io/[a-z-]*\) => ./staging/.*#\t\1 => \1 v0.${1#*.}#p" "$kubernetes"
  printf ')\n'
} >go.mod
go mod tidy
