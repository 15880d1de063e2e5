#!/bin/bash
# Imports a small Debian, with what kube-proxy and the node agent call, as a Docker
# image and prints its name on the last line. mmdebstrap makes it from the sources
# that this machine's apt uses. For machines that reach Debian's packages but no
# image registry.
set -euo pipefail
# shellcheck source=e2e/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
image=okteto-e2e/debian:$(digest e2e/cluster/debian.sh)
if image_exists "$image"; then
  echo "$image"
  exit
fi
command -v mmdebstrap >/dev/null ||
  fail "no image registry can be reached, and mmdebstrap is not installed" \
    "where a registry can be reached after all, set OKTETO_E2E_OFFLINE=0" \
    "else run this on Debian 12: $ROOT/.ci/install.sh"
mapfile -t sources < <(grep -lsE '^(URIs:|deb ).*/debian(-security)?/?( |$)' \
  /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} || true)
[ "${#sources[@]}" -gt 0 ] || fail "no Debian mirror in /etc/apt/sources.list or sources.list.d"
# The node image wants bookworm's systemd and containerd, whatever runs here.
import() {
  mmdebstrap --quiet --variant=apt --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --include=ca-certificates,iptables,iproute2,conntrack,kmod bookworm - "${sources[@]}" | docker import - "$image"
}
quietly import
say "Debian imported as $image" >&2
echo "$image"
