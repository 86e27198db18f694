"""Fixtures of the chart's tests."""

import pytest

from tests.chart.helm import CHART, VALUE_SETS, Helm, Rendered
from tests.cluster import binaries
from tests.cluster.fixtures import control_plane
from tests.cvat_standin.fixtures import cvat

__all__ = ["control_plane", "cvat"]

DEFAULTS = CHART / "values.yaml"


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm without a cluster; built on first use."""
    binaries.ensure(["helm"])
    return Helm(tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def defaults(helm: Helm) -> Rendered:
    """The chart with its default values, as release ``sam2-tracker`` in namespace ``cvat``."""
    return helm.template()


@pytest.fixture(scope="session", params=[DEFAULTS, *VALUE_SETS], ids=lambda path: path.stem)
def rendered(request: pytest.FixtureRequest, helm: Helm) -> Rendered:
    """The chart with its default values, and with each of the sets of values."""
    return helm.template(request.param)
