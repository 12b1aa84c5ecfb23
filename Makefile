# Everything here runs as root on Debian 12 or later with Node (20 or later) and make; the rest is fetched by the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Node 24 and the other tools come with the packages.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
export NODE_OPTIONS := --disable-warning=ExperimentalWarning

NODES ?= 1
CONTAINERD ?= 2.1
export NODES CONTAINERD

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

node_modules/.package-lock.json: package.json package-lock.json
	npm ci
	@touch $@

.PHONY: deps
deps: node_modules/.package-lock.json ## Install the npm packages

.PHONY: tools
tools: ## Fetch or build what the cluster is made of (cached outside the checkout)
	hack/tools.sh

.PHONY: build
build: deps ## Compile to dist/
	npm run build

.PHONY: image
image: deps tools ## Build the image as an OCI archive, unless one of these sources is there; prints its path
	hack/image.sh

# What has just been compiled.
demo up test-chaos test-load bench: export BERTH_PROGRAM := $(CURDIR)/dist/main.js

.PHONY: demo
demo: build tools ## Bring up a cluster, apply the examples, show what happens, take all down
	node hack/cluster/main.ts demo

.PHONY: up
up: build tools ## Bring up a cluster and keep it: NODES=3 CONTAINERD=1.7
	node hack/cluster/main.ts up

.PHONY: down
down: deps ## Take the clusters down
	node hack/e2e/main.ts down
	node hack/cluster/main.ts down

.PHONY: check
check: deps ## Types, lint, format, generated files
	npm run check

.PHONY: unit
unit: deps ## The tests that need nothing but Node
	npm run test:unit

.PHONY: test
test: check build tools ## All checks and tests, on real parts
	npm test

.PHONY: test-crash
test-crash: build tools ## Kill the agent in every state that it can leave: BERTH_CRASH=all for every await (make test takes a share of the states)
	BERTH_CRASH=$${BERTH_CRASH:-states} npm run jest -- --selectProjects containerd-2.1 --runInBand -- test/integration/crash

.PHONY: test-chaos
test-chaos: build tools ## Churn while everything is killed: SEED=1 MINUTES=60 (default: any seed, 5 minutes)
	node test/chaos/main.ts

.PHONY: test-load
test-load: build tools ## Many Containers, the agent killed half-way, its memory and files: COUNT=300 MINUTES=60
	node test/chaos/load.ts

.PHONY: bench
bench: build tools ## Compare with containerd alone, Docker and a kubelet: ROUNDS=7 SCENARIOS=one,burst30 (half an hour for all)
	node test/bench/main.ts

.PHONY: e2e-tools
e2e-tools: tools
	hack/e2e/tools.sh

.PHONY: e2e
# Not by the environment: a cluster that happens to be in use is nobody's to install things on.
ifeq ($(origin KUBECONFIG),command line)
e2e: deps ## Install the chart on a whole cluster and run test/e2e there: one of its own, or KUBECONFIG=file
	KUBECONFIG=$(KUBECONFIG) npm run test:e2e
else
e2e: deps e2e-tools
	node hack/e2e/main.ts test
endif

.PHONY: e2e-up
e2e-up: deps e2e-tools ## Bring up the cluster of make e2e and keep it
	node hack/e2e/main.ts up

.PHONY: generate
generate: deps tools ## Write the CRDs, the manifests and the protocol code anew
	npm run generate

.PHONY: format
format: deps ## Format all files
	npm run format

.PHONY: clean
clean: down ## Remove what the targets have made in the checkout
	rm -rf dist coverage node_modules
