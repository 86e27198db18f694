#!/usr/bin/env bash
# Pins every dependency, with hashes, from the extras of pyproject.toml into requirements/*.txt.
#   hack/lock.sh [--upgrade]
# sam2 stands alone in requirements/sam2.txt: its source builds against the torch that is already installed.
# torch.txt and standin.txt hold what a layer or an image of its own needs, in the same versions.
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
subset() { # output, constraints, packages
  local out=$1 constraints=$2; shift 2
  printf '%s\n' "$@" | uv pip compile - --constraint "$constraints" --output-file "$out" --quiet --universal \
    --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate
}
subset requirements/torch.txt requirements/agent.txt torch
subset requirements/standin.txt requirements/dev.txt numpy pillow pydantic starlette uvicorn
