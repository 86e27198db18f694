"""Where the cluster keeps things: nothing of it lies in the checkout."""

import os
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
REPOSITORY = SOURCES.parent.parent


def cache() -> Path:
    """The project's cache: ``SAM2_TRACKER_CACHE``, or a folder of the user's cache."""
    chosen = os.environ.get("SAM2_TRACKER_CACHE")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "sam2-tracker-operator"


def programs() -> Path:
    """Where built programs lie."""
    return cache() / "bin"


def cluster_state() -> Path:
    """Where the running cluster keeps its certificates, data, logs and process ids."""
    return cache() / "cluster"
