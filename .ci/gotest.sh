#!/bin/bash
# gotest.sh NAME PACKAGES ARGUMENT...: runs `go test ARGUMENT... PACKAGES` and prints
# a line for each package and the output of what fails.
#
# Up to six tests and subtests that failed are run once more: on a machine that is
# busy with other work, a cluster can be too late for once. They are not hidden: the
# output of the failure is printed, and `.ci/run` names them at its end. A data race
# is never run again. artifacts/NAME.json keeps all events, NAME.reruns the names.
set -euo pipefail
cd "$(dirname "$0")/.."
export OKTETO_E2E_ARTIFACTS=${OKTETO_E2E_ARTIFACTS:-artifacts}
mkdir -p "$OKTETO_E2E_ARTIFACTS"
exec go tool -modfile=.ci/tools.mod gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg \
  --hide-summary=skipped,output --jsonfile "$OKTETO_E2E_ARTIFACTS/$1.json" \
  --rerun-fails=1 --rerun-fails-max-failures=6 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race \
  --rerun-fails-report "$OKTETO_E2E_ARTIFACTS/$1.reruns" --packages "$2" -- "${@:3}"
