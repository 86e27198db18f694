"""The operator as the process that the image starts."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SOURCES = Path(__file__).parents[1] / "operator"
_END_SECONDS = 60.0
"""How long it may take to end; a kubelet gives it 30, and machines are busy."""


@contextmanager
def operator_process(
    settings: Mapping[str, str],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    entry: Sequence[str] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m sam2_operator` while inside; then tell it to end, as a kubelet does.

    Args:
        settings: all its settings, without their prefix; those of this process are not passed on.
        log: what it writes is appended here.
        environment: variables besides, such as KUBECONFIG.
        entry: words before the command.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith("SAM2_")}
    variables |= {f"SAM2_OPERATOR_{name}": value for name, value in settings.items()}
    variables |= {"PYTHONPATH": str(_SOURCES), **(environment or {})}
    with log.open("ab") as output:
        command = [*entry, sys.executable, "-m", "sam2_operator"]
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        finally:
            process.kill()
