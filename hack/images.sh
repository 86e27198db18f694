#!/usr/bin/env bash
# Builds the container images with docker, podman or buildah, whichever is there; skips what is up to date.
#   hack/images.sh [NAME...]      BASE_IMAGE=... chooses another base
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python3}" -m tests.cluster.images "$@"
