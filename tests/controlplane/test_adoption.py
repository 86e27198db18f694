"""Functions that are given by id: each to one tracker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.controlplane.endings import Ending
from tests.controlplane.harness import make_function

if TYPE_CHECKING:
    from tests.controlplane.harness import Namespace, Operator
    from tests.cvat_standin.client import CVAT

pytestmark = pytest.mark.controlplane


def test_a_function_is_given_to_one_tracker(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    given = make_function(annotation, "made by hand")
    for name in ("cars", "bikes"):
        namespace.apply_tracker(annotation.url, name, function={"id": given})
        operator.settle(namespace.name, name)
    assert namespace.status("cars")["functionID"] == given
    assert namespace.condition("FunctionRegistered", "bikes")["reason"] == "FunctionTaken"
    assert not namespace.exists("statefulset", "bikes-agent")
    namespace.delete("s2t", "cars", "--wait=false")
    Ending(operator, namespace, annotation).comes("deleted: another waits for its function", left=[given])
    operator.settle(namespace.name, "bikes")
    assert namespace.status("bikes")["functionID"] == given


def test_another_tracker_s_own_function_cannot_be_taken_from_it(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    namespace.apply_tracker(annotation.url, "bikes", function={"id": namespace.status()["functionID"]})
    operator.restart()  # what it knew of others is lost
    operator.settle(namespace.name, "bikes")
    assert namespace.condition("FunctionRegistered", "bikes")["reason"] == "FunctionTaken"
