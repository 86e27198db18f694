"""What the chart's hooks run: apply the CRD; at an uninstall, delete all trackers or let go of them."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from sam2_operator.adapters.kube.answers import NotFoundError, NotServedError
from sam2_operator.adapters.kube.api import MERGE, KubeApi
from sam2_operator.adapters.kube.objects import TRACKERS
from sam2_operator.api import PLURAL
from sam2_operator.api.crd import custom_resource_definition
from sam2_operator.api.tracker import DEADLINE_ANNOTATION, FINALIZER
from sam2_operator.core.timestamps import text
from sam2_operator.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sam2_operator.core.ports import Clock

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_POLL_SECONDS = 1.0
_SHARE_OF_THE_OPERATOR = 0.75
"""Of the time for deleting: then it gives up, and the rest is for the ends of pods and objects."""
_UNINSTALLED = (
    "The operator was uninstalled, and nobody looks after this tracker: its agent runs on as it was. Install "
    "the operator again and it goes on from here, or delete the tracker; its function then stays in CVAT."
)

_HELM = "helm"
"""Helm's own field manager. On install Helm applies the chart's CRDs without force: fields of a CRD that
stayed from an earlier release must not belong to anybody else, or the install fails with a conflict."""


def apply_crds(api: KubeApi, seconds: float) -> int:
    """Apply the CRD of this version and wait until it is served; give the exit status.

    Raises:
        KubernetesError: the API server refuses it.
    """
    wanted = custom_resource_definition()
    path = f"{_CRDS}/{wanted['metadata']['name']}"
    api.apply(path, wanted, manager=_HELM)
    deadline = time.monotonic() + seconds
    while not _is_established(api, path):
        if time.monotonic() > deadline:
            sys.stderr.write(f"{wanted['metadata']['name']} is applied, but not served after {seconds:g} s\n")
            return 1
        time.sleep(_POLL_SECONDS)
    sys.stdout.write(f"{wanted['metadata']['name']} is served\n")
    return 0


def delete_trackers(api: KubeApi, namespaces: Sequence[str], seconds: float) -> int:
    """Delete all trackers served here and wait until they are gone; give the exit status.

    A CVAT that does not answer must not hold the uninstall: the operator lets the trackers go before the time
    is over, and tells what stays.

    Raises:
        KubernetesError: the API server does not let us.
    """
    deadline = time.monotonic() + seconds
    asked: set[str] = set()
    while left := _trackers(api, namespaces):
        for path in left:
            if path not in asked:
                _delete(api, path, within=int(seconds * _SHARE_OF_THE_OPERATOR))
                asked.add(path)
        if time.monotonic() > deadline:
            names = ", ".join(map(_name, left))
            sys.stderr.write(
                f"Still there after {seconds:g} s: {names}. kubectl describe s2t tells why; where no "
                "operator runs, nobody deletes them: uninstall with --no-hooks and remove their finalizers.\n"
            )
            return 1
        time.sleep(_POLL_SECONDS)
    sys.stdout.write(f"{len(asked)} SAM2Trackers deleted\n")
    return 0


def release_trackers(api: KubeApi, namespaces: Sequence[str], clock: Clock) -> int:
    """Let go of all trackers served here, now that no operator serves them; give the exit status.

    They stay, and their agents run on. Without the finalizer they can be deleted, also with their namespace,
    and nobody waits for an operator that does not come. Conditions say that they are no longer true. An
    operator that is installed again takes them up where they are.

    Raises:
        KubernetesError: the API server does not let us.
    """
    released = 0
    for path in _trackers(api, namespaces):
        while True:
            try:
                released += _release(api, path, text(clock.now()))
            except ConflictError:
                continue
            break
    sys.stdout.write(f"{released} SAM2Trackers released\n")
    return 0


def _release(api: KubeApi, path: str, now: str) -> bool:
    """Let go of one tracker; say whether it was held."""
    live = api.get(path)
    if live is None:
        return False
    conditions = [
        {**each, "status": "Unknown", "reason": "OperatorUninstalled", "message": _UNINSTALLED}
        | ({} if each["status"] == "Unknown" else {"lastTransitionTime": now})
        for each in live.get("status", {}).get("conditions", [])
    ]
    if conditions:
        version = {"resourceVersion": live["metadata"]["resourceVersion"]}
        body: dict[str, Any] = {"metadata": version, "status": {"conditions": conditions}}
        live = api.call("PATCH", f"{path}/status", body=body, content_type=MERGE)
    metadata = live["metadata"]
    others = [each for each in metadata.get("finalizers", []) if each != FINALIZER]
    if others == metadata.get("finalizers", []):
        return False
    body = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": others}}
    api.call("PATCH", path, body=body, content_type=MERGE)
    if metadata.get("deletionTimestamp"):
        function = live.get("status", {}).get("functionID")
        sys.stdout.write(f"{_name(path)} was being deleted; function {function} may be left in CVAT\n")
    return True


def _trackers(api: KubeApi, namespaces: Sequence[str]) -> list[str]:
    scopes = [f"/namespaces/{each}" for each in namespaces] or [""]
    try:
        found = [each["metadata"] for scope in scopes for each in api.names(f"{TRACKERS}{scope}/{PLURAL}")]
    except NotServedError:
        return []  # without the CRD there are none
    return [f"{TRACKERS}/namespaces/{each['namespace']}/{PLURAL}/{each['name']}" for each in found]


def _name(path: str) -> str:
    return path.removeprefix(f"{TRACKERS}/namespaces/").replace(f"/{PLURAL}/", "/")


def _delete(api: KubeApi, path: str, *, within: int) -> None:
    annotation = {"metadata": {"annotations": {DEADLINE_ANNOTATION: str(within)}}}
    try:
        api.call("PATCH", path, body=annotation, content_type=MERGE)
        api.call("DELETE", path)
    except (NotFoundError, NotServedError):
        return


def _is_established(api: KubeApi, path: str) -> bool:
    live = api.get(path) or {}
    conditions = live.get("status", {}).get("conditions", [])
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)
