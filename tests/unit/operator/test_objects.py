"""The objects that a tracker gets."""

from __future__ import annotations

from typing import Any

import pytest

from sam2_operator.adapters.kube.pod import event_from
from sam2_operator.core.children import cache_claim, network_policy, service_account, state_secret
from sam2_operator.core.environment import seconds
from sam2_operator.core.observed import Event
from sam2_operator.core.workload import stateful_set
from tests.unit.operator.build import DEFAULTS, UID, tracker


def pod_spec(**spec: Any) -> dict[str, Any]:
    wanted = stateful_set(tracker(**spec), 7, DEFAULTS, "digest")
    template: dict[str, Any] = wanted["spec"]["template"]["spec"]
    return template


def container(**spec: Any) -> dict[str, Any]:
    (only,) = pod_spec(**spec)["containers"]
    assert isinstance(only, dict)
    return only


def environment(**spec: Any) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container(**spec)["env"]}


def test_the_pod_is_restricted() -> None:
    """As Pod Security's level `restricted` asks, and with a read-only root."""
    spec = pod_spec()
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = {mount["mountPath"] for mount in container()["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/tmp", "/var/cache/sam2-agent"}  # noqa: S108 - the pod's own


def test_one_replica_that_a_broken_template_cannot_block() -> None:
    spec = stateful_set(tracker(), 7, DEFAULTS, "digest")["spec"]
    assert (spec["replicas"], spec["podManagementPolicy"]) == (1, "Parallel")
    assert stateful_set(tracker(suspend=True), 7, DEFAULTS, "digest")["spec"]["replicas"] == 0


def test_no_secret_is_in_the_environment() -> None:
    assert environment()["SAM2_AGENT_CVAT_CREDENTIALS_DIR"] == "/var/run/secrets/sam2-agent/cvat"
    assert environment()["SAM2_AGENT_REDIS_URL_FILE"] == "/var/run/secrets/sam2-agent/redis/url"


def test_the_agents_id_is_a_fixed_function_of_tracker_and_function() -> None:
    assert environment()["SAM2_AGENT_AGENT_ID"] == f"s2t_{UID.replace('-', '')}_7"
    assert environment()["SAM2_AGENT_KEY_PREFIX"] == f"s2t:{{{UID}}}:"


@pytest.mark.parametrize(
    ("spec", "resources"),
    [
        ({}, {"limits": {"nvidia.com/gpu": 1}}),
        ({"model": {"device": "cuda:1"}}, {"limits": {"nvidia.com/gpu": 1}}),
        ({"model": {"device": "cpu"}}, {}),
        ({"agent": {"resources": {"limits": {"amd.com/gpu": 1}}}}, {"limits": {"amd.com/gpu": 1}}),
        ({"agent": {"resources": {"requests": {"cpu": "2"}}}}, {"requests": {"cpu": "2"}}),
    ],
)
def test_a_gpu_is_asked_for_unless_the_user_says_what(
    spec: dict[str, Any], resources: dict[str, Any]
) -> None:
    assert container(**spec)["resources"] == resources


@pytest.mark.parametrize(
    ("device", "resources", "threads"),
    [
        ("cpu", {"limits": {"cpu": "4"}}, "4"),
        ("cpu", {"limits": {"cpu": 2}}, "2"),
        ("cpu", {"limits": {"cpu": "2500m"}}, "3"),
        ("cpu", {"limits": {"cpu": "100m"}}, "1"),
        ("cpu", {"requests": {"cpu": "4"}}, None),
        ("cpu", {"limits": {"memory": "8Gi"}}, None),
        ("cuda", {"limits": {"cpu": "4"}}, None),
    ],
)
def test_on_a_cpu_there_are_as_many_threads_as_the_limit_allows(
    device: str, resources: dict[str, Any], threads: str | None
) -> None:
    assert (
        environment(model={"device": device}, agent={"resources": resources}).get("OMP_NUM_THREADS")
        == threads
    )


def test_the_users_number_of_threads_wins() -> None:
    agent = {"resources": {"limits": {"cpu": "4"}}, "env": [{"name": "OMP_NUM_THREADS", "value": "2"}]}
    given = [each for each in container(model={"device": "cpu"}, agent=agent)["env"] if "OMP" in each["name"]]
    assert given == [{"name": "OMP_NUM_THREADS", "value": "2"}]


def test_the_users_image_comes_with_the_users_pull_policy() -> None:
    assert container()["image"] == DEFAULTS.image
    theirs = container(agent={"image": "lab/agent:2", "imagePullPolicy": "Always"})
    assert (theirs["image"], theirs["imagePullPolicy"]) == ("lab/agent:2", "Always")


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("agent", "Always"),
        ("agent:latest", "Always"),
        ("registry.lab:5000/agent", "Always"),
        ("registry.lab:5000/agent:0.1.0", "IfNotPresent"),
        (f"agent@sha256:{'a' * 64}", "IfNotPresent"),
        (f"agent:latest@sha256:{'a' * 64}", "Always"),
    ],
)
def test_the_pull_policy_follows_the_image(image: str, policy: str) -> None:
    """Kubernetes fills it in for the first image, and leaves it when another follows."""
    assert container(agent={"image": image})["imagePullPolicy"] == policy


def test_parts_of_an_affinity_that_say_nothing_are_not_written() -> None:
    """What the API server stores of an empty part depends on whether there was more before."""
    assert "affinity" not in pod_spec(agent={"affinity": {"nodeAffinity": {}, "podAffinity": {}}})


def test_pod_fields_pass_through() -> None:
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["a100"]}]}
                ]
            }
        }
    }
    given: dict[str, Any] = {
        "nodeSelector": {"gpu": "a100"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": affinity,
        "runtimeClassName": "nvidia",
        "priorityClassName": "high",
        "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}],
        "imagePullSecrets": [{"name": "registry"}],
    }
    spec = pod_spec(agent=given)
    assert {key: spec[key] for key in given} == given


def test_own_labels_win_over_the_users() -> None:
    given = {"podLabels": {"team": "lab"}, "podAnnotations": {"note": "ours"}}
    metadata = stateful_set(tracker(agent=given), 7, DEFAULTS, "digest")["spec"]["template"]["metadata"]
    assert metadata["labels"]["team"] == "lab"
    assert metadata["labels"]["app.kubernetes.io/instance"] == "cars"
    assert metadata["annotations"]["note"] == "ours"
    assert metadata["annotations"]["sam2.dev/restart"] == "digest"


def test_replace_leaves_a_lost_node_soon() -> None:
    assert "tolerations" not in pod_spec()
    own = {
        "key": "node.kubernetes.io/unreachable",
        "operator": "Exists",
        "tolerationSeconds": 5,
        "effect": "NoExecute",
    }
    tolerations = pod_spec(agent={"onNodeLoss": "Replace", "tolerations": [own]})["tolerations"]
    assert tolerations[0] == own
    assert [each["key"] for each in tolerations] == [own["key"], "node.kubernetes.io/not-ready"]


@pytest.mark.parametrize(
    ("cache", "source"),
    [
        (None, {"emptyDir": {"sizeLimit": "10Gi"}}),
        ({"ephemeral": {"sizeLimit": "2Gi"}}, {"emptyDir": {"sizeLimit": "2Gi"}}),
        ({"persistentVolumeClaim": {"claimName": "hub"}}, {"persistentVolumeClaim": {"claimName": "hub"}}),
        ({"volumeClaimTemplate": {"size": "1Gi"}}, {"persistentVolumeClaim": {"claimName": "cars-cache"}}),
    ],
)
def test_where_weights_are_kept(cache: dict[str, Any] | None, source: dict[str, Any]) -> None:
    volumes = pod_spec(model={"cache": cache} if cache else {})["volumes"]
    (found,) = [volume for volume in volumes if volume["name"] == "cache"]
    assert {key: value for key, value in found.items() if key != "name"} == source


def test_only_a_template_makes_a_claim() -> None:
    assert cache_claim(tracker()) is None
    template = {"size": "20Gi", "storageClassName": "fast", "accessMode": "ReadWriteMany"}
    claim = cache_claim(tracker(model={"cache": {"volumeClaimTemplate": template}}))
    assert claim is not None
    assert claim["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "20Gi"}},
        "storageClassName": "fast",
    }


def test_all_objects_are_the_trackers_own() -> None:
    cars = tracker()
    for wanted in (
        service_account(cars),
        network_policy(cars),
        state_secret(cars, "redis://host"),
        stateful_set(cars, 7, DEFAULTS, ""),
    ):
        (owner,) = wanted["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (UID, True)
        assert wanted["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "sam2-tracker-operator"


@pytest.mark.parametrize(("written", "meant"), [("8h", 28800), ("1h30m", 5400), ("90s", 90), ("2h5s", 7205)])
def test_durations(written: str, meant: int) -> None:
    assert seconds(written) == meant


@pytest.mark.parametrize(
    "times",
    [
        {
            "lastTimestamp": "2026-01-01T12:00:07Z",
            "firstTimestamp": "2026-01-01T12:00:01Z",
            "eventTime": None,
        },
        {"eventTime": "2026-01-01T12:00:07.123456Z", "lastTimestamp": None},
        {
            "eventTime": "2026-01-01T12:00:01.5Z",
            "series": {"lastObservedTime": "2026-01-01T12:00:07.000000Z"},
        },
        {},
    ],
)
def test_an_event_is_as_old_as_it_was_last_told(times: dict[str, Any]) -> None:
    live = {
        "metadata": {"creationTimestamp": "2026-01-01T12:00:07Z" if not times else "2026-01-01T12:00:00Z"},
        "involvedObject": {"uid": "pod-1"},
        "reason": "FailedMount",
        "message": 'secret "hub" not found',
    }
    event = event_from({**live, **times})
    assert event == Event("FailedMount", 'secret "hub" not found.', "pod-1", "2026-01-01T12:00:07Z")
