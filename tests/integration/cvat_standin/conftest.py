"""Fixtures of these tests."""

from __future__ import annotations

from tests.cvat_standin.fixtures import cvat

__all__ = ["cvat"]
