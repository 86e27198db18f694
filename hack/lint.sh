#!/usr/bin/env bash
# Every static check. All of them run, also after one has failed, so that one round shows everything.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()
check() { hack/step.sh "$@" || failed+=("$1"); }

check "ruff format" ruff format --check --quiet .
check "ruff" ruff check --quiet .
check "mypy --strict" mypy --no-error-summary -p sam2_operator -p sam2_agent -p tests -p benchmarks
check "mypy --strict nuclio" mypy --no-error-summary --strict nuclio/main.py
check "layers (import-linter)" lint-imports --no-cache
check "generated files" hack/generate.sh --check
check "shell scripts" bash -n hack/*.sh .ci/run
check "chart" hack/chart-check.sh

if [ "${#failed[@]}" -gt 0 ]; then
  printf 'lint: failed: %s\n' "${failed[*]}" >&2
  exit 1
fi
