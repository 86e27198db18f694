#!/usr/bin/env bash
# Prepares this machine for the Makefile's targets; does nothing, quickly, when all is there.
#   hack/setup.sh            everything
#   hack/setup.sh python     only the Python environment
# What it downloads lies outside the checkout, in $SAM2_TRACKER_CACHE.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${SAM2_TRACKER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sam2-tracker-operator}
python=${PYTHON:-python3}
uv_version=0.13.9

say() { printf '[setup %4ds] %s\n' "$SECONDS" "$*"; }

python_environment() {
  local digest venv
  # The Makefile puts the environment's own python first in PATH; what it was made from is what counts.
  python=$("$python" -c 'import sys; print(sys._base_executable)')
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "setup: $("$python" --version) is too old: Python 3.11 or later is needed (set PYTHON=/path/to/python3)" >&2
    exit 1
  }
  digest=$( (cat requirements/dev.txt requirements/sam2.txt; "$python" -c 'import sys; print(sys.version, sys.base_prefix)') | sha256sum | cut -c1-16)
  venv=$cache/venvs/$digest
  if [ ! -e "$venv/.complete" ]; then
    say "Python environment: installing requirements/dev.txt (about 4 GB on disk, once)"
    mkdir -p "$cache/venvs"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "uv==$uv_version"
    "$venv/bin/uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" --require-hashes -r requirements/dev.txt
    SAM2_BUILD_CUDA=0 "$venv/bin/uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" \
      --no-deps --no-build-isolation --require-hashes -r requirements/sam2.txt
    touch "$venv/.complete"
    say "Python environment: done"
  fi
  ln -sfn "$venv" "$cache/venv"
}

[ "${1:-}" = python ] || hack/apt.sh
python_environment
