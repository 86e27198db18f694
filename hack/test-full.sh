#!/usr/bin/env bash
# Every fault at every point: what `make test` samples, whole. Ends with two tables: what became of the tracks,
# and of the resources.
#   SHARD=i/n hack/test-full.sh    only that part of the points and seeds (i from 1 to n)
# Seeds and points that fail are printed with the command that repeats each.
set -euo pipefail
cd "$(dirname "$0")/.."

export SHARD=${SHARD:-1/1} SAM2_TEST_FULL=1
part=${SHARD%/*} parts=${SHARD#*/}
seeds=$(((10000 + parts - 1) / parts)) pairs=$(((1000 + parts - 1) / parts))
SAM2_FAULT_TABLE=$(mktemp) SAM2_SITUATION_TABLE=$(mktemp)
export SAM2_FAULT_TABLE SAM2_SITUATION_TABLE
# A run that passes midnight draws one sample, and so do all its processes.
export SAM2_TEST_SEED=${SAM2_TEST_SEED:-$(($(date +%s) / 86400))}

brought_up=
clean_up() {
  rm -f "$SAM2_FAULT_TABLE" "$SAM2_SITUATION_TABLE"
  if [ -n "$brought_up" ]; then python -m tests.cluster down; fi
}
trap clean_up EXIT

failed=0
step() { hack/step.sh "$@" || failed=1; }

step "programs of the cluster, helm and kubeconform" python -m tests.cluster build
if [ "$part" = 1 ]; then
  step "unit, integration and fidelity tests" python -m pytest -q -n 2 --dist loadfile -m "not controlplane and not e2e and not gpu"
fi
step "simulation: $seeds seeds" python -m tests.simulation --scenario everything --first $(((part - 1) * seeds)) --seeds "$seeds"
step "simulation, two at once: $pairs seeds" python -m tests.simulation --scenario two-at-once --first $(((part - 1) * pairs)) --seeds "$pairs"
step "crash points" python -m tests.crashpoints
step "crash points of agents that are called" python -m tests.crashpoints --door
step "killed in hurried sessions" python -m tests.crashpoints hurried --seeds 40
step "two at once, real processes" python -m tests.crashpoints two-at-once --seeds 20
step "two at once that are called" python -m tests.crashpoints two-at-once --seeds 20 --door
step "operator: simulation, $seeds seeds" python -m tests.operator_simulation --first $(((part - 1) * seeds)) --seeds "$seeds"
step "operator: crash points" python -m tests.controlplane.crashpoints --shard "$SHARD"
if [ "$part" = 1 ]; then
  step "operator: all on a real kube-apiserver" python -m pytest -q -n 2 --dist loadfile -m "controlplane"
  step "images" hack/images.sh
  # These bring the local cluster up; one that was up before stays.
  python -m tests.cluster kubeconfig >/dev/null 2>&1 || brought_up=yes
  step "operator and agent: all on a real cluster" python -m pytest -q -m "e2e"
  if [ -n "$brought_up" ]; then
    step "taking the local cluster down" python -m tests.cluster down
    brought_up=
  fi
  step "mutants" python -m tests.mutants
fi

python -m tests.fault_table "$SAM2_FAULT_TABLE" || failed=1
python -m tests.controlplane.situations "$SAM2_SITUATION_TABLE" || failed=1
printf 'make test-full: %s in %d min %d s\n' "$([ $failed = 0 ] && echo 'all passed' || echo FAILED)" $((SECONDS / 60)) $((SECONDS % 60))
exit $failed
