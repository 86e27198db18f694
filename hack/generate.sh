#!/usr/bin/env bash
# Writes the generated files, or with --check fails when one is stale.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m sam2_operator.api.crd "$@"
