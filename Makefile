# Patchbay. `make` lists what there is to do.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Tools of the checks, pinned; the Go command fetches and builds them.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0
VULNDB      := $(CURDIR)/internal/testdata/vulndb

# What go.mod asks for.
GO_NEEDED := $(shell awk '$$1 == "go" { print $$2 }' go.mod)

# Packages whose tests need Go alone: all but the ones under e2e.
UNIT_PACKAGES = $$(go list ./... | grep -v -E '^patchbay/e2e(/|$$)')
E2E_PACKAGES  = $$(go list ./e2e/... 2>/dev/null | grep -v -E '^patchbay/e2e/(load|smoke|cluster)(/|$$)' || true)
LOAD_PACKAGES = $$(go list ./e2e/load/... 2>/dev/null || true)

# End-to-end tests of the program as make build has made it.
BUILT = E2E=1 E2E_BINARY="$(CURDIR)/bin/patchbay"

FUZZTIME ?= 30s
SOAK     ?= 1h
ARGS     ?=
ONLY     ?=

.PHONY: help build image run test check static apart race e2e cluster load smoke fuzz soak bench update-golden tools clean \
	go fmt vet lint unit vulncheck

help: ## List the targets
	@echo "Patchbay needs Go $(GO_NEEDED) or later. Targets:"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: go ## Build bin/patchbay, a static binary
	CGO_ENABLED=0 go build -trimpath -o bin/patchbay ./cmd/patchbay

image: build ## Build the container image patchbay:latest out of bin/patchbay; pulls nothing
	docker build --target outside --tag patchbay:latest .

run: build ## Start a node, place a first call, stay up; ONCE=1 ends after the call
	@./bin/patchbay demo $(if $(filter-out 0,$(ONCE)),--once) $(ARGS)

test: go tools ## Everything: static, race, apart, e2e, cluster, load, smoke (CI=1 installs the Debian packages it needs)
	@for step in static race apart e2e cluster load smoke; do \
		began=$$SECONDS; echo "=== $$step"; $(MAKE) $$step; echo "=== $$step: good, $$((SECONDS - began)) s"; \
	done

check: static unit ## What needs only Go: gofmt, vet, staticcheck, govulncheck, unit and in-process tests

static: go fmt vet lint vulncheck ## gofmt, vet, staticcheck, govulncheck

fmt:
	@found=$$(gofmt -l .); if [ -n "$$found" ]; then echo "not formatted (gofmt -w .):"; echo "$$found"; exit 1; fi

vet: go
	go vet ./...
	go vet -tags signalling ./cmd/patchbay

lint: go
	go run $(STATICCHECK) ./...

unit: go
	@packages="$(UNIT_PACKAGES)"; env -u CI -u E2E go test -shuffle=on -timeout 5m $$packages

# Where a test file leaves itself out under the race detector, its package runs without, too.
apart: go ## What cannot be tested under the race detector: counts of allocations
	@dirs=$$(grep -rlE --include='*_test.go' '^//go:build !race' . | xargs -n1 dirname | sort -u); \
	[ -n "$$dirs" ] || { echo "no test is left out under the race detector"; exit 1; }; \
	env -u CI -u E2E go test -timeout 5m $$dirs

vulncheck: go
	go run $(GOVULNCHECK) -db "file://$(VULNDB)" ./...

race: go ## Unit and in-process tests under the race detector (needs a C compiler)
	@packages="$(UNIT_PACKAGES)"; env -u CI -u E2E go test -race -shuffle=on -timeout 12m $$packages

e2e: go build ## SIPp, baresip, Kamailio, aiortc and Chromium against a node; fails where a program is missing
	@packages="$(E2E_PACKAGES)"; [ -n "$$packages" ] || { echo "no packages under e2e"; exit 1; }; \
	$(BUILT) go test -count=1 -p 1 -timeout 12m $$packages

cluster: go build ## A cluster of processes: any edge, processes that die, hang, are replaced or cut off; needs root or user namespaces
	$(BUILT) go test -count=1 -parallel 1 -timeout 18m -skip '^TestSoak' -v ./e2e/cluster

load: go build ## Loads against an ordinary build, with a table of results
	@packages="$(LOAD_PACKAGES)"; [ -n "$$packages" ] || { echo "no packages under e2e/load"; exit 1; }; \
	$(BUILT) go test -count=1 -timeout 10m -v $$packages

smoke: go build ## compose.yaml: a cluster in containers, and calls to it; starts dockerd as root where none runs
	E2E=1 go test -count=1 -timeout 10m -v patchbay/e2e/smoke

fuzz: go ## Run every fuzz target for FUZZTIME (30s) each
	@grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | while IFS=: read -r file name; do \
		name=$${name#func }; echo "=== $$name in $$(dirname "$$file")"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s "$$(dirname "$$file")" </dev/null; \
	done

soak: go build ## Run each soak test for SOAK (1h)
	@grep -rqs --include='*_test.go' '^func TestSoak' e2e || { echo "no soak tests under e2e"; exit 1; }; \
	E2E=1 SOAK=$(SOAK) go test -count=1 -timeout 0 -v -run '^TestSoak' ./e2e/...

bench: go build ## Measure Patchbay beside sipgo, Kamailio, rtpengine and pion (CI=1 installs what it needs; ONLY=names)
	@.ci/tools bench
	CGO_ENABLED=0 go build -trimpath -tags signalling -o bin/patchbay-signalling ./cmd/patchbay
	CGO_ENABLED=0 go build -trimpath -o bin/bench ./bench
	@taskset -c 1 ./bin/bench -only "$(ONLY)" $(ARGS)

update-golden: go ## Rewrite the golden files; read the difference before you commit it
	@grep -rlE --include='*_test.go' 'patchbay/internal/golden"|\("update"' . | xargs -n1 dirname | sort -u | \
	while read -r dir; do go test "$$dir" -update </dev/null; done

tools: ## Find the programs of the end-to-end tests; ask to install what is missing, with CI=1 do
	@.ci/tools

clean: ## Remove what was built; data stays
	rm -rf bin

go:
	@have=$$(go env GOVERSION 2>/dev/null | sed 's/^go//; s/[ -].*//' || true); \
	if [ -z "$$have" ] || [ "$$(printf '%s\n%s\n' "$(GO_NEEDED)" "$$have" | sort -V | head -n 1)" != "$(GO_NEEDED)" ]; then \
		echo "Patchbay needs Go $(GO_NEEDED) or later; found: $${have:-none}."; \
		echo "Get it from https://go.dev/dl/, unpack it and put its bin folder first in PATH, for example:"; \
		echo "  curl -fsSL https://go.dev/dl/go$(GO_NEEDED).linux-amd64.tar.gz | sudo tar -C /usr/local -xz"; \
		echo "  export PATH=/usr/local/go/bin:\$$PATH"; \
		exit 1; \
	fi >&2
