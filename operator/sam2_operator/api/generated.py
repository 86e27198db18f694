"""Files generated from the models: written on demand, and compared in every check."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def write_or_check(module: str, text: str, arguments: Sequence[str] | None) -> int:
    """Run the command line of `python -m <module> [--check] PATH`; give the exit status.

    Writes `text` to the path, or with `--check` writes nothing and fails when the file does not hold it.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("path", type=Path, help="the generated file")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the file is stale")
    options = parser.parse_args(arguments)
    if not options.check:
        options.path.write_text(text, encoding="utf-8")
        return 0
    if options.path.is_file() and options.path.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{options.path} is stale: run python -m {module} {options.path}\n")
    return 1
