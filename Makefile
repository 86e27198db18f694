# One screen of targets; each says what it does and how long that takes, can be run again, and cleans up after itself.
# A cluster of your own is used when you name it:  make demo KUBECONFIG=$HOME/.kube/config
# (only when given here: a KUBECONFIG that merely is in the environment is not taken for consent).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

CACHE := $(or $(SAM2_TRACKER_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sam2-tracker-operator)
export SAM2_TRACKER_CACHE := $(CACHE)
export PATH := $(CACHE)/venv/bin:$(CACHE)/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/operator:$(CURDIR)/agent:$(CURDIR)
export PYTHONUNBUFFERED := 1
ifeq ($(origin KUBECONFIG),command line)
export SAM2_TRACKER_KUBECONFIG := $(KUBECONFIG)
endif
unexport KUBECONFIG

STEP = @hack/step.sh

.PHONY: help setup lint format generate lock test test-fast test-full demo demo-serverless bench bench-gpu bench-operator images cluster-up cluster-down

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: ## install what the other targets need (apt packages, Python environment); quick when it is there
	@hack/setup.sh

demo: setup ## kubectl apply to a tracked video, with two kills: about 3 minutes once images are built
	@python -m tests.demo

demo-serverless: setup ## the same for a CVAT without agents: through the gateway
	@python -m tests.demo serverless

test: setup ## everything that CI checks: lint, unit, integration, control plane, a real cluster
	@hack/test.sh

test-full: setup ## every fault at every point, and a table of what became of tracks and resources: hours (SHARD=i/n for a part)
	@hack/test-full.sh

test-fast: setup ## the inner loop: no cluster, about two minutes on two cores
	$(STEP) "helm" python -m tests.cluster build helm
	$(STEP) "unit and integration tests" python -m pytest -q -n 2 --dist loadfile -m "not controlplane and not e2e and not slow and not gpu"

lint: setup ## formatting, names, types, layers, generated files, chart
	@hack/lint.sh

format: setup ## write what the formatter wants
	@ruff format . && ruff check --fix .

generate: setup ## write the generated files anew (the CRD)
	@hack/generate.sh

lock: setup ## pin the dependencies of pyproject.toml anew
	@hack/lock.sh

images: setup ## build the container images with docker, podman or buildah
	@hack/images.sh

cluster-up: setup ## a Kubernetes cluster on this machine, in network namespaces of its own (NODES=2 for two)
	@python -m tests.cluster up --nodes $(or $(NODES),1)

cluster-down: ## end that cluster; leaves nothing running or mounted
	@if [ -x $(CACHE)/venv/bin/python ]; then python -m tests.cluster down; fi

bench: setup ## ours, the stock agent and SAM2's own loop side by side on the CPU: about half an hour (TABLES="session start" for some)
	@python -m benchmarks.speed.cpu $(TABLES)

bench-gpu: setup ## the same on a GPU, with the published models
	@python -m benchmarks.speed.gpu $(TABLES)

bench-operator: setup ## what 10, 100 and 1,000 trackers cost the operator, the API server and CVAT: about 25 minutes
	@python -m benchmarks.operator_scale
