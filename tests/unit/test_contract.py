"""What operator and agent promise each other, which never import each other: settings, status, last words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sam2_agent.core.status import Report
from sam2_agent.settings import QueueSettings, load
from sam2_operator.adapters.agents import AgentStatusDocument
from tests.neighbours.pods import SPECS, template, variables
from tests.neighbours.pods import environment as environment_of
from tests.unit.operator.build import UID

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", SPECS)
def test_the_pod_that_the_operator_writes_parses_in_the_agent(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in [each for each in os.environ if each.startswith("SAM2_AGENT_")]:
        monkeypatch.delenv(variable)
    environment = environment_of(tmp_path, template(SPECS[name]))
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = load(environment)
    assert isinstance(settings, QueueSettings)
    assert settings.agent_id == f"s2t_{UID.replace('-', '')}_7"
    assert settings.function_id == 7
    assert settings.key_prefix == f"s2t:{{{UID}}}:"
    assert settings.read_redis_url().startswith("redis://")
    assert settings.holder == "pod-uid"
    if name == "all":
        assert settings.shape_types == {"mask", "polygon"}
        assert (settings.state_ttl_seconds, settings.memory_ttl_seconds) == (5400, 300)
        assert settings.cvat_ca_file is not None
        assert str(settings.cvat_proxy_url) == "http://proxy.lab:3128/"
        assert settings.redis_ca_file is not None
        assert settings.read_model_token() is not None
    if name == "least":
        assert settings.shape_types == QueueSettings.model_fields["shape_types"].default
        assert settings.shape_types == {"mask", "polygon", "rectangle"}
    if name == "a model on a volume":
        assert settings.model_config_file is not None
        assert settings.model_checkpoint == tmp_path / "var/lib/sam2-agent/model/sam2/custom.pt"


def test_every_setting_of_the_agent_is_either_set_or_has_a_default_that_is_meant() -> None:
    written = {
        name.removeprefix("SAM2_AGENT_").lower()
        for spec in SPECS.values()
        for name in variables(template(spec))
    }
    left = {
        name.replace("model_config_file", "model_config") for name in QueueSettings.model_fields
    } - written
    assert left == {"interface", "lease_seconds", "termination_message_file"}


def test_the_agents_status_is_what_the_operator_reads() -> None:
    assert set(AgentStatusDocument.model_fields) <= set(Report.model_fields)
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
    assert (read.ready, read.reason, read.message) == (
        False,
        "WaitingForLease",
        "Another agent holds the lease.",
    )
