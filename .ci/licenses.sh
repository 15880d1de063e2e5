#!/bin/bash
# licenses.sh FILE: collects into FILE our own licence and those of everything that
# is linked into the programs: the Go standard library, each module and busybox.
# Fails on a module without a licence.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1
linked=$(mktemp)
trap 'rm -f "$linked"' EXIT

# The folder of each linked package and its module, over the systems we build for:
# a licence may stand beside a package, above the one of its module.
for os in linux darwin windows; do
  GOOS=$os CGO_ENABLED=0 go list -deps -tags noassets,grpcnotrace -f \
    '{{if and .Module (not .Module.Main)}}{{.Module.Path}} {{.Module.Version}} {{.Module.Dir}} {{.Dir}}{{end}}' ./cli
done >"$linked"
GOOS=linux CGO_ENABLED=0 go list -deps -tags noassets,grpcnotrace -f \
  '{{if and .Module (not .Module.Main)}}{{.Module.Path}} {{.Module.Version}} {{.Module.Dir}} {{.Dir}}{{end}}' \
  ./remote ./bin-image/{supervisor,syncthing,clean} >>"$linked"

# notices FOLDER: the licence files right in a folder.
notices() {
  find "$1" -maxdepth 1 -type f ! -name '*.go' \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \
    -o -iname 'copyright*' -o -iname 'patents*' -o -iname 'authors*' \) | LC_ALL=C sort
}

section() { printf '\n%s\n%s\n\n' "$(printf '=%.0s' {1..78})" "$1"; }

modules() {
  local path version root dir files
  sort -u "$linked" | awk '{print $1, $2, $3}' | uniq | while read -r path version root; do
    section "$path $version
source: https://pkg.go.dev/$path@$version"
    files=$(awk -v m="$path" '$1 == m {print $4}' "$linked" | while read -r dir; do
      while [ "${#dir}" -ge "${#root}" ]; do
        echo "$dir"
        dir=${dir%/*}
      done
    done | sort -u | while read -r dir; do notices "$dir"; done)
    grep -qiE '/(licen[cs]e|copying)[^/]*$' <<<"$files" || {
      echo "module $path $version has no licence file" >&2
      return 1
    }
    while read -r file; do
      [ "$file" = "${file#"$root"/*/}" ] || printf -- '--- %s\n\n' "${file#"$root"/}"
      cat "$file"
    done <<<"$files"
  done
}

mkdir -p "$(dirname "$out")"
{
  cat LICENSE
  section "The Go standard library, $(go env GOVERSION)"
  # Debian keeps the file elsewhere than Go's own archives do.
  cat "$(go env GOROOT)/LICENSE" 2>/dev/null || cat /usr/share/doc/golang-*/copyright
  modules
  section busybox
  cat .ci/licenses/busybox.txt
} >"$out.new"
mv "$out.new" "$out"
