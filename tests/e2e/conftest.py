"""The cluster that end-to-end tests share."""

from tests.cluster.fixtures import cluster

__all__ = ["cluster"]
