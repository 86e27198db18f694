"""What the chart's hooks run: apply the CRD, and delete all trackers before an uninstall."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from sam2_operator.adapters.kube.answers import NotFoundError
from sam2_operator.adapters.kube.api import KubeApi
from sam2_operator.adapters.kube.objects import TRACKERS
from sam2_operator.api import PLURAL
from sam2_operator.api.crd import custom_resource_definition

if TYPE_CHECKING:
    from collections.abc import Sequence

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_POLL_SECONDS = 1.0

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

    Raises:
        KubernetesError: the API server does not let us.
    """
    scopes = [f"/namespaces/{each}" for each in namespaces] or [""]
    deadline = time.monotonic() + seconds
    asked: set[str] = set()
    while left := _trackers(api, scopes):
        for path in left:
            if path not in asked:
                _delete(api, path)
                asked.add(path)
        if time.monotonic() > deadline:
            names = ", ".join(
                path.removeprefix(f"{TRACKERS}/namespaces/").replace(f"/{PLURAL}/", "/") for path in left
            )
            sys.stderr.write(f"Still there after {seconds:g} s: {names}. kubectl describe s2t tells why.\n")
            return 1
        time.sleep(_POLL_SECONDS)
    sys.stdout.write(f"{len(asked)} SAM2Trackers deleted\n")
    return 0


def _trackers(api: KubeApi, scopes: Sequence[str]) -> list[str]:
    try:
        found = [each["metadata"] for scope in scopes for each in api.names(f"{TRACKERS}{scope}/{PLURAL}")]
    except NotFoundError:
        return []  # without the CRD there are none
    return [f"{TRACKERS}/namespaces/{each['namespace']}/{PLURAL}/{each['name']}" for each in found]


def _delete(api: KubeApi, path: str) -> None:
    try:
        api.call("DELETE", path)
    except NotFoundError:
        return


def _is_established(api: KubeApi, path: str) -> bool:
    live = api.get(path) or {}
    conditions = live.get("status", {}).get("conditions", [])
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)
