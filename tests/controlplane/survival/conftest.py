"""One namespace with an account of CVAT, and operators that serve it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.controlplane.survival.scene import Scene

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.fixtures import RunningControlPlane
    from tests.controlplane.harness import Namespace
    from tests.cvat_standin.client import CVAT
    from tests.redis_server import RedisServer


@pytest.fixture
def scene(
    cluster: RunningControlPlane,
    annotation: CVAT,
    namespace: Namespace,
    acl_redis: RedisServer,
    tmp_path: Path,
) -> Scene:
    return Scene(cluster, annotation, namespace, acl_redis, tmp_path)
