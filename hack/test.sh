#!/usr/bin/env bash
# Everything that CI checks, cheapest first. What has to be built is built in steps of its own, which show progress.
set -euo pipefail
cd "$(dirname "$0")/.."

# A run that passes midnight draws one sample, and so do all its processes.
export SAM2_TEST_SEED=${SAM2_TEST_SEED:-$(($(date +%s) / 86400))}

# The end-to-end tests bring the local cluster up; one that was up before stays.
if ! python -m tests.cluster kubeconfig >/dev/null 2>&1; then
  trap 'hack/step.sh "taking the local cluster down" python -m tests.cluster down' EXIT
fi
hack/step.sh "programs of the cluster, helm and kubeconform" python -m tests.cluster build
hack/step.sh "lint" hack/lint.sh
hack/step.sh "unit and integration tests" python -m pytest -q -n 2 --dist loadfile -m "not controlplane and not e2e and not gpu"
hack/step.sh "control plane tests (real kube-apiserver)" python -m pytest -q -n 2 --dist loadfile -m "controlplane"
hack/step.sh "images" hack/images.sh
hack/step.sh "end to end (real cluster)" python -m pytest -q -m "e2e"
printf 'make test: all passed in %d min %d s\n' $((SECONDS / 60)) $((SECONDS % 60))
