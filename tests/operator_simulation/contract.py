"""What the operator relies on in the API server: promises that the real one and the simulated one both keep.

Each takes a `Kube`, the operator's own adapter, and the name of a namespace that is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sam2_operator.api import API_VERSION, KIND
from sam2_operator.api.status import TrackerStatus
from sam2_operator.core.observed import Pod
from sam2_operator.errors import ConflictError, KubernetesError, NamespaceTerminatingError

if TYPE_CHECKING:
    from sam2_operator.adapters.kube.objects import Kube
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.observed import Manifest

NAME = "cars"
_TRACKERS = "/apis/sam2.dev/v1alpha1/namespaces/{}/sam2trackers"
_MERGE = "application/merge-patch+json"


def make(kube: Kube, namespace: str) -> Tracker:
    """Make a tracker as people do."""
    spec = {
        "cvat": {"url": "https://cvat.example", "credentialsSecretRef": {"name": "cvat"}},
        "model": {"id": "facebook/sam2.1-hiera-tiny"},
    }
    body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": NAME}, "spec": spec}
    kube.api.call("POST", _TRACKERS.format(namespace), body=body)
    return read(kube, namespace)


def read(kube: Kube, namespace: str) -> Tracker:
    found = kube.tracker(namespace, NAME)
    assert found is not None
    return found


def edit(kube: Kube, namespace: str, patch: Manifest) -> None:
    path = f"{_TRACKERS.format(namespace)}/{NAME}"
    kube.api.call("PATCH", path, body=patch, content_type=_MERGE)


def delete(kube: Kube, namespace: str) -> None:
    kube.api.call("DELETE", f"{_TRACKERS.format(namespace)}/{NAME}", body={})


def a_status_is_written_only_onto_what_was_read(kube: Kube, namespace: str) -> None:
    seen = make(kube, namespace)
    edit(kube, namespace, {"spec": {"suspend": True}})
    with pytest.raises(ConflictError):
        kube.write_status(seen, TrackerStatus(function_id=7))
    assert read(kube, namespace).status.function_id is None


def a_status_is_not_written_onto_another_of_the_same_name(kube: Kube, namespace: str) -> None:
    seen = make(kube, namespace)
    delete(kube, namespace)
    with pytest.raises(ConflictError):
        kube.write_status(seen, TrackerStatus(function_id=7))
    again = make(kube, namespace)
    assert again.metadata.uid != seen.metadata.uid
    with pytest.raises(ConflictError):
        kube.write_status(seen, TrackerStatus(function_id=7))
    with pytest.raises(ConflictError):
        kube.set_finalizer(seen, present=True)


def the_generation_counts_changes_of_the_spec_and_the_deletion(kube: Kube, namespace: str) -> None:
    tracker = kube.set_finalizer(make(kube, namespace), present=True)
    assert tracker is not None
    tracker = kube.write_status(tracker, TrackerStatus(function_id=7))
    edit(kube, namespace, {"metadata": {"annotations": {"a": "b"}}})
    assert read(kube, namespace).metadata.generation == 1
    edit(kube, namespace, {"spec": {"suspend": True}})
    assert read(kube, namespace).metadata.generation == 2
    delete(kube, namespace)
    ending = read(kube, namespace)
    assert (ending.metadata.generation, ending.metadata.deletion_timestamp is None) == (3, False)
    assert ending.status.function_id == 7
    delete(kube, namespace)
    assert read(kube, namespace).metadata.generation == 3
    kube.set_finalizer(ending, present=False)
    assert kube.tracker(namespace, NAME) is None


def a_write_that_changes_nothing_is_none(kube: Kube, namespace: str) -> None:
    tracker = kube.write_status(make(kube, namespace), TrackerStatus(function_id=7))
    again = kube.write_status(tracker, TrackerStatus(function_id=7))
    assert again.metadata.resource_version == tracker.metadata.resource_version
    made = kube.apply(account(namespace))
    assert (
        kube.apply(account(namespace))["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    )


def an_apply_takes_back_what_it_no_longer_wants_and_leaves_what_others_added(
    kube: Kube, namespace: str
) -> None:
    kube.apply(account(namespace, labels={"ours": "1", "stays": "1"}))
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{NAME}"
    others = {"metadata": {"labels": {"theirs": "1", "stays": "2"}}}
    kube.api.call("PATCH", path, query={"fieldManager": "people"}, body=others, content_type=_MERGE)
    applied = kube.apply(account(namespace, labels={"stays": "1"}))
    assert applied["metadata"]["labels"] == {"stays": "1", "theirs": "1"}


def another_object_of_the_same_name_is_not_deleted(kube: Kube, namespace: str) -> None:
    old = kube.apply(account(namespace))
    kube.delete("ServiceAccount", old)
    new = kube.apply(account(namespace))
    kube.delete("ServiceAccount", old)
    live = kube.get("ServiceAccount", namespace, NAME)
    assert live is not None
    assert live["metadata"]["uid"] == new["metadata"]["uid"] != old["metadata"]["uid"]


def a_pod_goes_gracefully_or_by_force(kube: Kube, namespace: str) -> None:
    """A pod that no node holds goes at once in a real cluster; by force it does everywhere."""
    labels = {"app.kubernetes.io/managed-by": "sam2-tracker-operator"}
    container = {"name": "agent", "image": "none"}
    body = {"metadata": {"name": NAME, "labels": labels}, "spec": {"containers": [container]}}
    kube.api.call(
        "POST", f"/api/v1/namespaces/{namespace}/pods", body={"apiVersion": "v1", "kind": "Pod", **body}
    )
    pod = kube.pod(namespace, NAME)
    assert pod is not None
    kube.delete_pod(namespace, replace(pod, uid="another"), force=True)
    assert _uid(kube.pod(namespace, NAME)) == pod.uid
    kube.delete_pod(namespace, pod, force=True)
    assert kube.pod(namespace, NAME) is None


def a_namespace_that_ends_takes_nothing_new(kube: Kube, namespace: str) -> None:
    kube.set_finalizer(make(kube, namespace), present=True)
    assert not kube.is_terminating(namespace)
    kube.api.call("DELETE", f"/api/v1/namespaces/{namespace}", body={})
    assert kube.is_terminating(namespace)
    with pytest.raises(NamespaceTerminatingError):
        kube.apply(account(namespace))
    with pytest.raises(KubernetesError):
        make(kube, namespace)


def account(namespace: str, **metadata: Any) -> Manifest:
    """An object of a simple kind."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": NAME, "namespace": namespace, **metadata},
    }


def _uid(pod: Pod | None) -> str | None:
    return None if pod is None else pod.uid


PROMISES: Mapping[str, Callable[[Kube, str], None]] = {
    promise.__name__: promise
    for promise in (
        a_status_is_written_only_onto_what_was_read,
        a_status_is_not_written_onto_another_of_the_same_name,
        the_generation_counts_changes_of_the_spec_and_the_deletion,
        a_write_that_changes_nothing_is_none,
        an_apply_takes_back_what_it_no_longer_wants_and_leaves_what_others_added,
        another_object_of_the_same_name_is_not_deleted,
        a_pod_goes_gracefully_or_by_force,
        a_namespace_that_ends_takes_nothing_new,
    )
}
