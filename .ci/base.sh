#!/bin/bash
# Prints, on the last line, the name of the image with a static busybox that the
# init image is built from: the public one where a registry can be reached, else one
# made here from Debian's busybox-static, for this machine's architecture.
set -euo pipefail
# shellcheck source=e2e/cluster/lib.sh
. "$(dirname "$0")/../e2e/cluster/lib.sh"

if registry_reachable; then
  echo "$PUBLIC_BUSYBOX"
  exit
fi
image=okteto-e2e/busybox:$(digest .ci/base.sh)
if image_exists "$image"; then
  echo "$image"
  exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fetch: unpacks busybox-static into $work/package. The lists are this script's own,
# since those of the machine may never have been fetched, or be of another user.
fetch() {
  mkdir -p "$work"/{lists,cache/archives}/partial "$work/package"
  local options=(-q -o APT::Sandbox::User=root -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache")
  apt-get "${options[@]}" update
  (cd "$work" && apt-get "${options[@]}" download busybox-static)
  dpkg-deb -x "$work"/*.deb "$work/package"
}

import() {
  local root=$work/root applet
  fetch
  mkdir -p "$root"/{bin,etc,root,tmp,usr/share/doc}
  chmod 1777 "$root/tmp"
  cp "$work/package/bin/busybox" "$root/bin/busybox"
  cp -r "$work/package/usr/share/doc/busybox-static" "$root/usr/share/doc/"
  for applet in $("$root/bin/busybox" --list); do
    [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  tar -C "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c . | docker import - "$image"
}
quietly import
say "Debian's busybox-static imported as $image" >&2
echo "$image"
