#!/usr/bin/env bash
# Writes the generated files, or with --check fails when one is stale.
set -euo pipefail
cd "$(dirname "$0")/.."
# Twice: for kubectl, and for Helm, which takes CRDs only from within a chart.
for crd in crds/sam2trackers.yaml charts/sam2-tracker-operator/crds/sam2trackers.yaml; do
  python -m sam2_operator.api.crd "$@" "$crd"
done
python -m sam2_operator.api.reference "$@" docs/resource.md
