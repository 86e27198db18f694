"""What operator and agent promise each other, which never import each other: settings, status, last words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from sam2_agent.core.status import Report
from sam2_agent.settings import Settings, load
from sam2_operator.adapters.agents import AgentStatusDocument
from sam2_operator.core.workload import stateful_set
from tests.unit.operator.build import DEFAULTS, UID, tracker

if TYPE_CHECKING:
    from pathlib import Path

SPECS: dict[str, dict[str, Any]] = {
    "least": {},
    "all": {
        "cvat": {
            "organization": "lab",
            "caBundle": {"configMapKeyRef": {"name": "ca", "key": "bundle.pem"}},
        },
        "function": {"shapeTypes": ["mask", "polygon"]},
        "model": {
            "revision": "main",
            "tokenSecretRef": {"name": "hub"},
            "cache": {"volumeClaimTemplate": {"size": "10Gi"}},
            "precision": "bfloat16",
        },
        "state": {
            "secretRef": {"name": "redis", "key": "address"},
            "caBundle": {"secretKeyRef": {"name": "ca", "key": "redis.pem"}},
            "ttl": "1h30m",
            "memoryTTL": "5m",
        },
    },
    "a redis by value": {"state": {"url": "redis://redis.lab:6379/1"}, "model": {"device": "cpu"}},
    "a model on a volume": {
        "model": {
            "id": None,
            "volume": {"claimName": "weights"},
            "config": "sam2/custom.yaml",
            "checkpoint": "sam2/custom.pt",
        }
    },
}


def written_environment(root: Path, spec: dict[str, Any]) -> dict[str, str]:
    """Do with the pod's variables and volumes what a kubelet does, below a folder."""
    template = stateful_set(tracker(**spec), 7, DEFAULTS, "")["spec"]["template"]["spec"]
    (container,) = template["containers"]
    volumes = {volume["name"]: volume for volume in template["volumes"]}
    mounts = sorted((mount["mountPath"], mount["name"]) for mount in container["volumeMounts"])
    for path, name in mounts:
        folder = root / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        source = volumes[name].get("secret") or volumes[name].get("configMap") or {}
        for item in source.get("items", []):
            (folder / item["path"]).write_text("redis://redis/0")
    environment = {}
    for variable in container["env"]:
        value = variable.get("value", "pod-uid")
        inside = any(value == path or value.startswith(f"{path}/") for path, _ in mounts)
        environment[variable["name"]] = f"{root}{value}" if inside else value
    return environment


@pytest.mark.parametrize("name", SPECS)
def test_the_pod_that_the_operator_writes_parses_in_the_agent(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in [each for each in os.environ if each.startswith("SAM2_AGENT_")]:
        monkeypatch.delenv(variable)
    environment = written_environment(tmp_path, SPECS[name])
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = load(environment)
    assert settings.agent_id == f"s2t_{UID.replace('-', '')}_7"
    assert settings.function_id == 7
    assert settings.key_prefix == f"s2t:{{{UID}}}:"
    assert settings.read_redis_url().startswith("redis://")
    assert settings.holder == "pod-uid"
    if name == "all":
        assert settings.shape_types == {"mask", "polygon"}
        assert (settings.state_ttl_seconds, settings.memory_ttl_seconds) == (5400, 300)
        assert settings.cvat_ca_file is not None
        assert settings.redis_ca_file is not None
        assert settings.read_model_token() is not None
    if name == "least":
        assert settings.shape_types == Settings.model_fields["shape_types"].default
        assert settings.shape_types == {"mask", "polygon", "rectangle"}
    if name == "a model on a volume":
        assert settings.model_config_file is not None
        assert settings.model_checkpoint == tmp_path / "var/lib/sam2-agent/model/sam2/custom.pt"


def test_every_setting_of_the_agent_is_either_set_or_has_a_default_that_is_meant() -> None:
    written = {
        each["name"].removeprefix("SAM2_AGENT_").lower()
        for spec in SPECS.values()
        for each in stateful_set(tracker(**spec), 7, DEFAULTS, "")["spec"]["template"]["spec"]["containers"][
            0
        ]["env"]
        if each["name"].startswith("SAM2_AGENT_")
    }
    left = {name.replace("model_config_file", "model_config") for name in Settings.model_fields} - written
    assert left == {"lease_seconds", "termination_message_file"}


def test_the_agents_status_is_what_the_operator_reads() -> None:
    told = {field.alias or name for name, field in AgentStatusDocument.model_fields.items()}
    assert told == set(Report.model_fields)
    report = Report(
        version="0.1.0",
        phase="WaitingForLease",
        ready=False,
        reason="WaitingForLease",
        message="Another agent holds the lease.",
        leaseHeld=False,
        leaseEpoch=None,
        cvatAnsweredSecondsAgo=1.5,
        redisAnsweredSecondsAgo=None,
        modelFingerprint="abc",
    )
    read = AgentStatusDocument.model_validate_json(report.model_dump_json())
    assert (read.phase, read.reason, read.cvat_answered_seconds_ago) == (
        "WaitingForLease",
        "WaitingForLease",
        1.5,
    )
