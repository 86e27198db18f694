"""Whatever is changed: A to B ends as a fresh B, and back to A as a fresh A; for every field of the CRD.

Some of the fields, others every day; all of them with `SAM2_TEST_FULL=1`, those of a part of the spec with
its path in place of `full`.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from sam2_operator.api.schema import structural_schema
from sam2_operator.api.spec import TrackerSpec
from sam2_operator.errors import InvalidObjectError
from tests.controlplane import situations
from tests.controlplane.mutations import Mutation, UnknownFieldError, mutations
from tests.controlplane.scratch import Scratch
from tests.controlplane.snapshot import differences
from tests.http_proxy import HttpProxy, http_proxy
from tests.samples import FULL, todays_seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sam2_operator.adapters.kube.api import KubeApi
    from tests.controlplane.harness import Operator
    from tests.cvat_standin.client import CVAT
    from tests.redis_server import RedisServer

pytestmark = [pytest.mark.controlplane, pytest.mark.slow, pytest.mark.timeout(3600)]

ASKED = os.environ.get("SAM2_MUTATIONS", "")
SEED = todays_seed()
SOME = 24
FIXED = {
    "cvat.interface",
    "cvat.url",
    "cvat.credentialsSecretRef",
    "cvat.organization",
    "model.cache.volumeClaimTemplate.storageClassName",
    "model.cache.volumeClaimTemplate.accessMode",
}
GROWING = {"model.cache.volumeClaimTemplate.size"}
SCHEMA = structural_schema(TrackerSpec)


@dataclass
class Trackers:
    """Trackers of given specs, and what the operator makes of them."""

    api: KubeApi
    cvat: CVAT
    operator: Operator
    redis: RedisServer
    proxy: HttpProxy
    _fresh: dict[str, dict[str, Any]] = field(default_factory=dict)

    def fresh(self, spec: dict[str, Any]) -> dict[str, Any]:
        """What becomes of a tracker that never had another spec."""
        key = json.dumps(spec, sort_keys=True)
        if key not in self._fresh:
            with self.scratch() as scratch:
                scratch.apply(spec)
                self._fresh[key] = scratch.settled()
        return self._fresh[key]

    def scratch(self) -> Scratch:
        return Scratch(self.api, self.cvat, self.operator, self.redis.port, self.proxy.port)

    def unlike(self, scratch: Scratch, spec: dict[str, Any]) -> list[str]:
        """Wait until the tracker is as a fresh one of the spec; give what remains different."""
        expected = self.fresh(spec)
        return scratch.converged(lambda found: differences(expected, found))


def try_mutation(trackers: Trackers, mutation: Mutation) -> str | None:
    """Go from A to B and back; give what is wrong."""
    with trackers.scratch() as scratch:
        scratch.apply(mutation.a)
        scratch.settled()
        try:
            scratch.apply(mutation.b)
        except InvalidObjectError as error:
            refused = mutation.path in FIXED and "cannot change" in str(error)
            return None if refused else f"{mutation}: refused: {error}"
        if mutation.path in FIXED and mutation.what == "changed":
            return f"{mutation}: a field that cannot change was changed"
        if wrong := trackers.unlike(scratch, mutation.b):
            return f"{mutation}: A, B is unlike B: {wrong}"
        try:
            scratch.apply(mutation.a)
        except InvalidObjectError as error:
            refused = mutation.path in GROWING and "can only grow" in str(error)
            return None if refused else f"{mutation}: refused on the way back: {error}"
        if wrong := trackers.unlike(scratch, mutation.a):
            return f"{mutation}: A, B, A is unlike A: {wrong}"
    return None


@pytest.fixture
def proxy(cvat: CVAT) -> Iterator[HttpProxy]:
    """A proxy that trackers may name."""
    address = urlsplit(cvat.url)
    with http_proxy({"127.0.0.1": ("127.0.0.1", address.port or 0)}) as running:
        yield running


def test_back_and_forth_ends_as_if_it_had_always_been(
    api: KubeApi, cvat: CVAT, operator: Operator, acl_redis: RedisServer, proxy: HttpProxy
) -> None:
    cvat.add_user("ann")
    trackers = Trackers(api, cvat, operator, acl_redis, proxy)
    everything = list(mutations(SCHEMA))
    if FULL or ASKED:
        chosen = [each for each in everything if each.path.startswith(ASKED)]
    else:
        chosen = random.Random(SEED).sample(everything, SOME)
    wrong = []
    for number, mutation in enumerate(chosen, start=1):
        problem = try_mutation(trackers, mutation)
        situations.add(
            "A, B, A of a field",
            situations.Outcomes(converged=int(problem is None), hangs=int(problem is not None)),
        )
        if problem is not None:
            wrong.append(problem)
            print(problem, flush=True)
        if number % 25 == 0:
            print(f"{number} of {len(chosen)} changes, {len(wrong)} wrong", flush=True)
    assert not wrong, f"seed {SEED}:\n" + "\n".join(wrong)


def test_all_generated_specs_are_good(
    api: KubeApi, cvat: CVAT, operator: Operator, acl_redis: RedisServer, proxy: HttpProxy
) -> None:
    cvat.add_user("ann")
    wrong = []
    with Trackers(api, cvat, operator, acl_redis, proxy).scratch() as scratch:
        for mutation in mutations(SCHEMA):
            for spec in (mutation.a, mutation.b):
                try:
                    scratch.apply(spec, dry_run=True)
                except InvalidObjectError as error:
                    wrong.append(f"{mutation}: {error}")
    assert not wrong, "\n".join(wrong)


def test_a_new_field_is_covered_or_asks_for_values() -> None:
    paths = {mutation.path for mutation in mutations(SCHEMA)}
    assert {"cvat.url", "agent.env[].value", "model.cache.volumeClaimTemplate.size"} <= paths
    SCHEMA["properties"]["model"]["properties"]["flavor"] = {"type": "string", "enum": ["sweet", "sour"]}
    try:
        new = [mutation for mutation in mutations(SCHEMA) if mutation.path == "model.flavor"]
        assert [mutation.b["model"]["flavor"] for mutation in new] == ["sweet", "sour"]
        SCHEMA["properties"]["model"]["properties"]["flavor"] = {"type": "string", "pattern": "^[0-9]$"}
        with pytest.raises(UnknownFieldError, match=r"model\.flavor"):
            list(mutations(SCHEMA))
    finally:
        del SCHEMA["properties"]["model"]["properties"]["flavor"]
