#!/usr/bin/env bash
# Pins every dependency, with hashes, from the extras of pyproject.toml into requirements/*.txt.
#   hack/lock.sh [--upgrade]
# sam2 stands alone in requirements/sam2.txt: its source builds against the torch that is already installed.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { # extra, output, further options
  local extra=$1 out=$2; shift 2
  uv pip compile pyproject.toml --extra "$extra" --output-file "$out" --quiet --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --no-emit-package sam2 "$@"
}
compile operator requirements/operator.txt "$@"
compile agent requirements/agent.txt "$@"
compile dev requirements/dev.txt "$@"
printf 'sam2==1.1.0\n' | uv pip compile - --output-file requirements/sam2.txt --quiet --no-deps --python-version 3.11 \
  --generate-hashes --no-emit-index-url --no-header --no-annotate
