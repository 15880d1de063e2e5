#!/bin/bash
# Builds everything again in another folder, with an empty build cache, and compares
# it with what `make build cross` left in bin: the bytes must be the same.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/source"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
  [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar --null -T - -c | tar -x -C "$work/source"
GOCACHE=$work/cache "${MAKE:-make}" -C "$work/source" --no-print-directory build cross VERSION="$VERSION" >/dev/null
(cd "$work/source/bin" && find linux-* darwin-* windows-* -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) >"$work/second"
(cd bin && sha256sum --quiet -c "$work/second")
echo "$(wc -l <"$work/second") programs, the same bytes in both builds"
