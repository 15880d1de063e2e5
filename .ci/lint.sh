#!/bin/bash
# Everything that can be said about the source without running it.
# shellcheck disable=SC2317 # check calls the functions
set -euo pipefail
cd "$(dirname "$0")/.."
tool() { go tool -modfile=.ci/tools.mod "$@"; }
tags=noassets,grpcnotrace
status=0
# check NAME COMMAND...: goes on after a failure, to say all there is to say.
check() {
  echo "lint: $1"
  "${@:2}" || status=1
}

formatted() {
  local files
  files=$(tool gofumpt -l .)
  [ -z "$files" ] || { printf 'not gofumpt-formatted: %s\n' "$files" && return 1; }
}

scripts() {
  # start.sh runs on busybox's ash, and is checked as dash.
  git ls-files --cached --others --exclude-standard -z -- '*.sh' .ci/run e2e/cluster/runc-caps | xargs -0 shellcheck -x -e SC2187
}

vulnerabilities() {
  local database=https://vuln.go.dev/index/modules.json
  if ! python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' "$database" 2>/dev/null; then
    echo "  skipped: $database cannot be reached"
    return
  fi
  tool govulncheck -tags "$tags" ./...
}

check "go mod tidy" go mod tidy -diff
check gofumpt formatted
check "go vet" go vet -tags "$tags" ./...
check "go vet, end-to-end tests" go vet -tags "$tags,e2e" ./e2e/...
check staticcheck tool staticcheck -tags "$tags,e2e" ./...
check shellcheck scripts
check govulncheck vulnerabilities
exit $status
