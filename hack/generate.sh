#!/usr/bin/env bash
# Writes the generated files, or with --check fails when one is stale.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m sam2_operator.api.crd "$@"
# Helm installs CRDs only from within the chart.
if [ "${1:-}" != --check ]; then cp crds/*.yaml charts/sam2-tracker-operator/crds/; fi
