#!/bin/bash
# base.sh ARCHITECTURE: prints, on the last line, the name of the image with a
# static busybox that the init image is built from: the public one where a registry
# can be reached, else one made here from Debian's busybox-static.
set -euo pipefail
# shellcheck source=e2e/cluster/lib.sh
. "$(dirname "$0")/../e2e/cluster/lib.sh"
architecture=$1

if registry_reachable; then
  echo "$PUBLIC_BUSYBOX"
  exit
fi
image=okteto-e2e/busybox:$(digest .ci/base.sh)-$architecture
if image_exists "$image"; then
  echo "$image"
  exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# package ARCHITECTURE: unpacks busybox-static into $work/ARCHITECTURE. An apt of
# its own lets it be of another architecture than this machine's.
package() {
  local apt=$work/apt-$1
  mkdir -p "$apt"/{lists,cache/archives}/partial "$work/$1"
  local options=(-q -o "APT::Architecture=$1" -o "APT::Architectures=$1" -o APT::Sandbox::User=root
    -o "Dir::State::Lists=$apt/lists" -o Dir::State::status=/dev/null -o "Dir::Cache=$apt/cache")
  apt-get "${options[@]}" update
  (cd "$apt" && apt-get "${options[@]}" download busybox-static)
  dpkg-deb -x "$apt"/*.deb "$work/$1"
}

import() {
  local host root=$work/root applet
  host=$(dpkg --print-architecture)
  package "$architecture"
  [ "$architecture" = "$host" ] || package "$host" # lists the applets
  mkdir -p "$root"/{bin,etc,root,usr/share/doc} "$root/tmp"
  chmod 1777 "$root/tmp"
  cp "$work/$architecture/bin/busybox" "$root/bin/busybox"
  cp -r "$work/$architecture/usr/share/doc/busybox-static" "$root/usr/share/doc/"
  for applet in $("$work/$host/bin/busybox" --list); do
    [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  tar -C "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c . |
    docker import --platform "linux/$architecture" - "$image"
}
quietly import
say "Debian's busybox-static ($architecture) imported as $image" >&2
echo "$image"
