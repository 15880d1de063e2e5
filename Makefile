# `make help` lists what there is to make.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --match 'v*' --dirty 2>/dev/null || \
	echo "0.0.0-dev-$$(git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)")
export VERSION

# Static, and the same bytes wherever and whenever they are built; the same for all
# but the race detector, so that Go compiles each dependency once. noassets leaves
# Syncthing's web interface out; grpcnotrace leaves out gRPC's traces, whose HTML
# templates keep the linker from dropping what is not used.
TAGS := noassets,grpcnotrace
export CGO_ENABLED := 0
GOFLAGS_GIVEN := $(GOFLAGS)
export GOFLAGS := $(GOFLAGS) -trimpath -buildvcs=false
GO_BUILD := go build -tags $(TAGS) -ldflags '-s -w -X okteto/internal/contract.Version=$(VERSION)'

OS := $(shell go env GOOS)
ARCH := $(shell go env GOARCH)
AGENTS := okteto-remote okteto-supervisor syncthing clean
AGENT_PACKAGES := ./remote ./bin-image/supervisor ./bin-image/syncthing ./bin-image/clean
PLATFORMS := linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64 windows-arm64

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
	@failed=; for stage in lint unit cross e2e; do \
		echo "== make $$stage"; begin=$$SECONDS; \
		$(MAKE) $$stage || failed+=" $$stage"; \
		echo "== $$((SECONDS - begin)) s"; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

##@ Building

.PHONY: build
build: agents-amd64 agents-arm64 client-$(OS)-$(ARCH) ## programs in bin; agents for linux/amd64 and arm64
	@for program in $(AGENTS); do ln -f bin/linux-$(ARCH)/$$program bin/$$program; done
	@ln -f bin/$(OS)-$(ARCH)/okteto bin/okteto

.PHONY: cross
cross: $(PLATFORMS:%=client-%) agents-amd64 agents-arm64 ## the client for Linux, macOS and Windows

# One run of go for an architecture, which names programs after their folders. It
# knows better than make what is up to date, if it finds its output where it left it.
out = bin/.go/$(1)
.PHONY: FORCE
agents-%: FORCE
	@mkdir -p $(call out,linux-$*) bin/linux-$*
	@GOOS=linux GOARCH=$* $(GO_BUILD) -o $(call out,linux-$*)/ $(AGENT_PACKAGES)
	@cd bin/linux-$* && ln -f ../.go/linux-$*/remote okteto-remote && ln -f ../.go/linux-$*/supervisor okteto-supervisor
	@cd bin/linux-$* && ln -f ../.go/linux-$*/{syncthing,clean} .
client-%: FORCE
	@mkdir -p $(call out,$*) bin/$*
	@GOOS=$(firstword $(subst -, ,$*)) GOARCH=$(lastword $(subst -, ,$*)) $(GO_BUILD) -o $(call out,$*)/ ./cli
	@for cli in $(call out,$*)/cli*; do ln -f $$cli bin/$*/okteto$${cli#*/cli}; done

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
	@CGO_ENABLED=1 GOFLAGS='$(GOFLAGS_GIVEN)' .ci/gotest.sh unit ./... -race -tags $(TAGS) -timeout 15m

.PHONY: e2e
e2e: install ## the end-to-end tests, on the cluster
	@$(MAKE) cluster build
	@$(MAKE) images
	@.ci/gotest.sh e2e ./e2e/... -tags $(TAGS),e2e -count 1 -p 1 -parallel 4 -timeout 30m

SOAK ?= 10m
.PHONY: soak
soak: install ## one okteto up for SOAK=10m, with random edits and faults; nothing may be lost
	@$(MAKE) cluster build
	@$(MAKE) images
	@go run -tags $(TAGS) ./e2e/soak -for $(SOAK)

.PHONY: conformance-sshd
conformance-sshd: install ## the SSH conformance tests against OpenSSH's sshd, to prove the tests
	@OKTETO_CONFORMANCE_SERVER=sshd .ci/gotest.sh conformance-sshd ./remote -tags $(TAGS) -count 1 -run TestConformance

.PHONY: screens
screens: install ## write docs/screens.md: what okteto prints in a real run
	@$(MAKE) cluster build
	@$(MAKE) images
	@go run -tags $(TAGS) ./e2e/screens

##@ Benchmarks

.PHONY: bench
bench: install ## speed of the whole path on the cluster, beside the original's
	@$(MAKE) cluster build
	@$(MAKE) images
	@go run -tags $(TAGS) ./e2e/bench/path

.PHONY: bench-trees
bench-trees: install ## large trees on the cluster: first synchronization beside tar, restart, saves, a burst
	@$(MAKE) cluster build
	@$(MAKE) images
	@go run -tags $(TAGS) ./e2e/bench/path -files 20000 -saves 30

.PHONY: bench-up
bench-up: install ## time to ready, time until work goes on after faults, memory, beside the original's
	@$(MAKE) cluster build
	@$(MAKE) images
	@go run -tags $(TAGS) ./e2e/bench/up

.PHONY: bench-ssh
bench-ssh: install ## the SSH server beside OpenSSH's sshd
	@go run -tags $(TAGS) ./remote/bench

.PHONY: bench-sync
bench-sync: install ## the synchronization of two folders here, beside tar and rsync
	@go run -tags $(TAGS) ./e2e/bench/sync

.PHONY: bench-agents
bench-agents: install build ## start-up time, memory and idle CPU of the agents
	@go test -tags $(TAGS) -run '^$$' -bench Start -benchtime 7x ./e2e/bench/agents
	@go test -tags $(TAGS) -run '^$$' -bench Idle -benchtime 1x ./e2e/bench/agents

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
