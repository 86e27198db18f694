"""What cannot work is refused when a tracker is applied, not discovered by its pod.

Whatever the API server takes in a tracker, the operator can read, the API server takes in the tracker's
objects, and the agent takes as its settings: tried with values that people type by mistake or by malice, for
every field of the CRD, and with fields that do not go together.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import redis
from pydantic import ValidationError

from sam2_agent.errors import InvalidSettings
from sam2_agent.settings import QueueSettings, load
from sam2_operator.adapters.kube.api import APPLY
from sam2_operator.api.schema import structural_schema
from sam2_operator.api.spec import TrackerSpec
from sam2_operator.api.tracker import Tracker
from sam2_operator.core.observed import Workload
from sam2_operator.core.placement import Defaults
from sam2_operator.core.plan import Apply, Children, Wishes, plan
from sam2_operator.errors import InvalidObjectError
from tests.controlplane import situations
from tests.controlplane.hostile import hostile
from tests.controlplane.scratch import Scratch
from tests.controlplane.snapshot import KINDS
from tests.samples import FULL, todays_seed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sam2_operator.adapters.kube.api import KubeApi
    from tests.controlplane.harness import Operator
    from tests.cvat_standin.client import CVAT
    from tests.redis_server import RedisServer

pytestmark = [pytest.mark.controlplane, pytest.mark.slow, pytest.mark.timeout(3600)]

SEED = todays_seed()
SOME = 400
SCHEMA = structural_schema(TrackerSpec)
DRY = {"dryRun": "All", "fieldManager": "test", "force": "true", "fieldValidation": "Strict"}


def resources(limits: dict[str, Any], requests: dict[str, Any]) -> dict[str, Any]:
    return {"agent": {"resources": {"limits": limits, "requests": requests}}}


def preferred(**requirement: Any) -> dict[str, Any]:
    rule = {"weight": 1, "preference": {"matchExpressions": [{"key": "a", **requirement}]}}
    return {
        "agent": {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [rule]}}}
    }


AT_ODDS: dict[str, dict[str, Any]] = {
    "a request above its limit": resources({"cpu": "500m"}, {"cpu": 1}),
    "a request of bytes above its limit": resources({"memory": "1Gi"}, {"memory": "1100Mi"}),
    "less of a device than its limit": resources({"nvidia.com/gpu": 2}, {"nvidia.com/gpu": "1"}),
    "a device without limit": resources({}, {"nvidia.com/gpu": 1}),
    "half a device": resources({"nvidia.com/gpu": "500m"}, {}),
    "a device in other words": resources({"nvidia.com/gpu": 1}, {"nvidia.com/gpu": "1"}),
    "cores in other words": resources({"cpu": 1}, {"cpu": "1000m"}),
    "hugepages": resources({"hugepages-2Mi": "4Mi"}, {}),
    "a greater than of two": preferred(operator="Gt", values=["1", "2"]),
    "a greater than of a word": preferred(operator="Gt", values=["one"]),
    "an existence with values": preferred(operator="Exists", values=["one"]),
    "no value to be in": preferred(operator="In", values=[]),
    "one pull secret twice": {"agent": {"imagePullSecrets": [{"name": "one"}, {"name": "one"}]}},
    "AppArmor in words of old": {
        "agent": {"podAnnotations": {"container.apparmor.security.beta.kubernetes.io/agent": "x"}}
    },
    "an effect that never ends": {"agent": {"tolerations": [{"operator": "Exists", "tolerationSeconds": 1}]}},
    "nothing preferred": {
        "agent": {
            "affinity": {
                "nodeAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]
                }
            }
        }
    },
}
"""Fields of which each is good, but not with the other."""
NONE_YET = Children(None, None, None, None, Workload(None, None, None))
WISHES = Wishes(
    7, "redis://s2t-uid:password@redis:6379/0", "digest", Defaults("agent:test"), shared_cache=False
)


@pytest.fixture
def scratch(api: KubeApi, cvat: CVAT, operator: Operator, acl_redis: RedisServer) -> Iterator[Scratch]:
    cvat.add_user("ann")
    with Scratch(api, cvat, operator, acl_redis.port) as made:
        yield made


def discovered_late(
    api: KubeApi, scratch: Scratch, spec: dict[str, Any], now: datetime, folder: Path
) -> str | None:
    """Apply a spec; give what somebody else refuses after the API server took it."""
    try:
        taken = scratch.apply(spec, dry_run=True)
    except InvalidObjectError:
        return None
    taken["metadata"].setdefault("resourceVersion", "0")
    try:
        tracker = Tracker.model_validate(taken)
    except ValidationError as error:
        return f"the operator cannot read it: {error}"
    for action in plan(tracker, NONE_YET, WISHES, now):
        assert isinstance(action, Apply)
        wanted = action.wanted
        path = f"{KINDS[wanted['kind']].format(scratch.namespace)}/{wanted['metadata']['name']}"
        try:
            api.call("PATCH", path, query=DRY, body=wanted, content_type=APPLY)
        except InvalidObjectError as error:
            return f"the API server refuses its {wanted['kind']}: {error}"
        if wanted["kind"] == "StatefulSet":
            return refused_by_agent(wanted, folder)
    return None


def refused_by_agent(stateful_set: dict[str, Any], folder: Path) -> str | None:
    """Give the agent the pod's variables; give what it says of them."""
    (container,) = stateful_set["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: _as_mounted(each, folder) for each in container["env"]}
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.upper().startswith("SAM2_AGENT_")]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            settings = load(environment)
            if isinstance(settings, QueueSettings):
                urlsplit(str(settings.cvat_url)).port  # noqa: B018 - raises where it is none
            redis.Redis.from_url(settings.read_redis_url()).close()
        except (InvalidSettings, ValueError) as error:
            return f"the agent refuses its settings: {error}"
    return None


def _as_mounted(variable: dict[str, Any], folder: Path) -> str:
    value = str(variable.get("value", "from elsewhere"))
    if not value.startswith("/var/run/secrets/"):
        return value
    return str(folder if variable["name"].endswith("_DIR") else folder / "file")


def test_what_is_taken_can_work(api: KubeApi, scratch: Scratch, operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("redis://redis:6379/0")
    generated = list(hostile(SCHEMA))
    chosen = generated if FULL else random.Random(SEED).sample(generated, SOME)
    wrong = []
    for name, spec in [*AT_ODDS.items(), *chosen]:
        try:
            late = discovered_late(api, scratch, spec, operator.clock.now(), tmp_path)
        except ValueError as error:
            late = repr(error)
        situations.add(
            "impossible value", situations.Outcomes(converged=int(not late), hangs=int(bool(late)))
        )
        if late:
            wrong.append(f"{name}: {late}")
            print(wrong[-1][:400], flush=True)
    assert not wrong, f"seed {SEED}:\n" + "\n".join(wrong)
