#!/usr/bin/env bash
# Everything that CI checks, cheapest first. pytest closes the run, so its summary is the last thing printed.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/step.sh "lint" hack/lint.sh
hack/step.sh "unit and integration tests" python -m pytest -q -m "not controlplane and not e2e and not gpu"
hack/step.sh "control plane tests (real kube-apiserver)" python -m pytest -q -m "controlplane"
hack/step.sh "end to end (real cluster)" python -m pytest -q -m "e2e"
printf 'make test: all passed in %d min %d s\n' $((SECONDS / 60)) $((SECONDS % 60))
