# `make help` lists what there is to make.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --match 'v*' --dirty 2>/dev/null || \
	echo "0.0.0-dev-$$(git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)")
export VERSION

# Static, and the same bytes wherever and whenever they are built. noassets leaves
# Syncthing's web interface out.
TAGS := noassets
GO_BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags $(TAGS) \
	-ldflags '-s -w -X okteto/internal/contract.Version=$(VERSION)'
ARCH := $(shell go env GOARCH)
OS := $(shell go env GOOS)
ARCHES := amd64 arm64
AGENTS := okteto-remote okteto-supervisor syncthing clean
CLIENTS := linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64 windows-arm64

package_okteto-remote := ./remote
package_okteto-supervisor := ./bin-image/supervisor
package_syncthing := ./bin-image/syncthing
package_clean := ./bin-image/clean

export OKTETO_E2E_KUBECONFIG ?= $(CURDIR)/.cluster/kubeconfig
export OKTETO_E2E_ARTIFACTS ?= $(CURDIR)/artifacts

##@ The two that do everything

.PHONY: demo
demo: install ## the main job on a real cluster, narrated: an edit arrives in a pod
	@$(MAKE) cluster build
	@$(MAKE) images
	@go run -tags $(TAGS) ./e2e/demo

.PHONY: test
test: install ## lint, unit tests with the race detector, all platforms, end-to-end tests
	@$(MAKE) lint
	@$(MAKE) unit
	@$(MAKE) cross
	@$(MAKE) e2e

##@ Building

.PHONY: build
build: $(foreach a,$(ARCHES),$(AGENTS:%=bin/linux-$(a)/%)) bin/$(OS)-$(ARCH)/okteto ## programs in bin; agents for linux/amd64 and arm64
	@for program in $(AGENTS); do ln -f bin/linux-$(ARCH)/$$program bin/$$program; done
	@ln -f bin/$(OS)-$(ARCH)/okteto bin/okteto

# Go knows better than make what is up to date.
.PHONY: FORCE
define agent
bin/linux-$(1)/$(2): FORCE
	@GOOS=linux GOARCH=$(1) $$(GO_BUILD) -o $$@ $$(package_$(2))
endef
$(foreach a,$(ARCHES),$(foreach p,$(AGENTS),$(eval $(call agent,$(a),$(p)))))
bin/%/okteto: FORCE
	@GOOS=$(word 1,$(subst -, ,$*)) GOARCH=$(word 2,$(subst -, ,$*)) $(GO_BUILD) -o $@ ./cli

.PHONY: cross
cross: $(foreach c,$(CLIENTS),bin/$(c)/okteto) $(foreach a,$(ARCHES),$(AGENTS:%=bin/linux-$(a)/%)) ## the client for Linux, macOS and Windows
	@for windows in bin/windows-*; do ln -f $$windows/okteto $$windows/okteto.exe; done

.PHONY: reproducible
reproducible: build cross ## build again elsewhere with empty caches: the same bytes
	@.ci/reproducible.sh

bin/licenses.txt: go.mod go.sum .ci/licenses.sh $(wildcard .ci/licenses/*)
	@.ci/licenses.sh $@

.PHONY: licenses
licenses: bin/licenses.txt ## the licences of all that is linked, in bin/licenses.txt

.PHONY: images
images: build licenses ## okteto/bin:dev, okteto/remote:dev and the images of the tests
	@.ci/images.sh

.PHONY: images-multiarch
images-multiarch: build licenses ## push IMAGE/bin and IMAGE/remote for both architectures (buildx)
	@.ci/images.sh multiarch '$(IMAGE)'

##@ Testing

.PHONY: install
install: ## the Debian packages that all this needs, if any is missing
	@.ci/install.sh

.PHONY: lint
lint: install ## gofumpt, vet, staticcheck, govulncheck, shellcheck, tidiness
	@.ci/lint.sh

.PHONY: unit
unit: install ## all tests but the end-to-end ones, with the race detector
	@.ci/gotest.sh unit -race -tags $(TAGS) -timeout 15m ./...

.PHONY: e2e
e2e: install ## the end-to-end tests, on the cluster
	@$(MAKE) cluster build
	@$(MAKE) images
	@.ci/gotest.sh e2e -tags $(TAGS),e2e -count 1 -timeout 30m ./e2e/...

.PHONY: bench
bench: install ## speed of the whole path on the cluster, beside the original's
	@$(MAKE) cluster build
	@$(MAKE) images
	@go run -tags $(TAGS) ./e2e/bench/path

##@ The cluster

.PHONY: cluster
cluster: install ## a kind cluster of two nodes, kubeconfig in .cluster/kubeconfig
	@e2e/cluster/cluster.sh up

.PHONY: cluster-down
cluster-down: ## remove it
	@e2e/cluster/cluster.sh down

##@ The rest

.PHONY: clean
clean: ## remove what was built here, but not the cluster, its images and Go's cache
	@rm -rf bin artifacts

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
