#!/bin/bash
# gotest.sh NAME ARGUMENT...: runs `go test ARGUMENT...` and prints a line for each
# package and the output of what fails. artifacts/NAME.json keeps all events.
set -euo pipefail
cd "$(dirname "$0")/.."
export OKTETO_E2E_ARTIFACTS=${OKTETO_E2E_ARTIFACTS:-artifacts}
mkdir -p "$OKTETO_E2E_ARTIFACTS"
exec go tool -modfile=.ci/tools.mod gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg \
  --hide-summary=skipped,output --jsonfile "$OKTETO_E2E_ARTIFACTS/$1.json" -- "${@:2}"
