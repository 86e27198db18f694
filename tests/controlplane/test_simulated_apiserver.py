"""The real API server keeps the promises that the simulated one makes the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sam2_operator.adapters.clock import SystemClock
from sam2_operator.adapters.kube.objects import Kube
from tests.operator_simulation.contract import PROMISES

if TYPE_CHECKING:
    from sam2_operator.adapters.kube.api import KubeApi
    from tests.controlplane.harness import Namespace

pytestmark = [pytest.mark.controlplane, pytest.mark.slow]


@pytest.mark.parametrize("promise", PROMISES)
def test_the_real_api_server_keeps_the_promise(promise: str, api: KubeApi, namespace: Namespace) -> None:
    PROMISES[promise](Kube(api, SystemClock(), (), "operator-0"), namespace.name)
