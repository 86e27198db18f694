"""Operator, agent and CRD of neighbouring versions work together; see docs/upgrades.md.

What an earlier version wrote and read is frozen below tests/neighbours. A neighbour that does not exist yet
is one of this version, doctored.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from sam2_agent.adapters.redis_store import COMMANDS as AGENTS_COMMANDS
from sam2_agent.core.status import Report
from sam2_agent.settings import QueueSettings, load
from sam2_operator.adapters.agents import AgentStatusDocument
from sam2_operator.adapters.statestore import COMMANDS as GRANTED_COMMANDS
from sam2_operator.api.crd import custom_resource_definition
from tests.neighbours.pods import SPECS, environment, template, variables
from tests.neighbours.schemas import narrower

REPOSITORY = Path(__file__).parents[2]
VERSIONS = sorted(path.name for path in (REPOSITORY / "tests/neighbours").glob("[0-9]*"))

pytestmark = pytest.mark.parametrize("version", VERSIONS)


def frozen(version: str, name: str) -> Any:
    path = REPOSITORY / "tests/neighbours" / version / name
    return yaml.safe_load(path.read_text())


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [each for each in os.environ if each.startswith("SAM2_AGENT_")]:
        monkeypatch.delenv(variable)


@pytest.mark.parametrize("name", SPECS)
def test_this_agent_takes_the_pod_of_an_older_operator(
    version: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = environment(tmp_path, frozen(version, "pods.json")[name])
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    settings = load(given)
    assert isinstance(settings, QueueSettings)
    assert settings.function_id == 7


@pytest.mark.parametrize("name", SPECS)
def test_an_older_agent_knows_what_this_operator_sets_for_older_fields(version: str, name: str) -> None:
    """A setting that is new is set only where a tracker uses what it is for."""
    assert set(variables(template(SPECS[name]))) <= set(frozen(version, "settings.json"))


@pytest.mark.parametrize("name", SPECS)
def test_an_upgrade_that_changes_nothing_for_an_agent_leaves_its_pod_alone(version: str, name: str) -> None:
    """A difference restarts every agent: where one is meant, say so in the release's notes and freeze."""
    assert template(SPECS[name]) == frozen(version, "pods.json")[name]


def test_this_operator_reads_an_older_agent(version: str) -> None:
    read = AgentStatusDocument.model_validate(frozen(version, "status.json"))
    assert (read.ready, read.reason) == (True, "Serving")


def test_an_older_operator_finds_what_it_needs_in_this_agents_status(version: str) -> None:
    assert {"ready", "reason", "message"} <= set(frozen(version, "status.json"))
    gone = set(frozen(version, "status.json")) - set(Report.model_fields)
    assert not gone, "dashboards and older operators may read it"


def test_this_operator_reads_a_newer_agent(version: str) -> None:
    newer = {**frozen(version, "status.json"), "phase": "Dreaming", "gpuMemory": {"used": 1}}
    assert AgentStatusDocument.model_validate(newer).ready


def test_redis_lets_an_older_agent_do_all_it_does(version: str) -> None:
    assert set(frozen(version, "commands.json")) <= set(GRANTED_COMMANDS)


def test_this_agent_does_in_redis_what_an_older_operator_lets_it(version: str) -> None:
    assert set(AGENTS_COMMANDS) <= set(frozen(version, "commands.json"))


def test_trackers_of_an_older_crd_are_still_taken(version: str) -> None:
    old, new = frozen(version, "crd.yaml"), custom_resource_definition()
    by_name = {each["name"]: each for each in new["spec"]["versions"]}
    for each in old["spec"]["versions"]:
        schemas = [one["schema"]["openAPIV3Schema"] for one in (each, by_name[each["name"]])]
        assert list(narrower(*schemas)) == []


def test_a_crd_that_takes_less_is_noticed(version: str) -> None:
    old = frozen(version, "crd.yaml")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    new = deepcopy(old)
    spec = new["properties"]["spec"]
    del spec["properties"]["suspend"]
    spec["required"].append("state")
    spec["properties"]["function"]["properties"]["visibility"]["enum"] = ["private"]
    spec["properties"]["cvat"]["properties"]["url"]["maxLength"] = 9
    assert sorted(narrower(old, new)) == [
        ".spec.cvat.url: maxLength is lower",
        ".spec.function.visibility: no longer takes {'public'}",
        ".spec.state: is required",
        ".spec.suspend: is gone",
    ]


def test_an_older_agent_names_the_setting_that_it_lacks(version: str, tmp_path: Path) -> None:
    """It refuses rather than leave a proxy out; its words reach the tracker's condition."""
    del version
    shutil.copytree(REPOSITORY / "agent/sam2_agent", tmp_path / "older/sam2_agent")
    settings = tmp_path / "older/sam2_agent/settings.py"
    written = settings.read_text()
    settings.write_text(written.replace("    cvat_proxy_url: HttpUrl | None = None\n", ""))
    assert "cvat_proxy_url" in QueueSettings.model_fields
    assert settings.read_text() != written
    last_words = tmp_path / "last-words"
    given = environment(tmp_path, template(SPECS["all"]))
    usual = {name: value for name, value in os.environ.items() if not name.startswith("SAM2_")}
    done = subprocess.run(
        [sys.executable, "-m", "sam2_agent"],
        env={
            **usual,
            **given,
            "PYTHONPATH": str(tmp_path / "older"),
            "SAM2_AGENT_TERMINATION_MESSAGE_FILE": str(last_words),
        },
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 64
    told = json.loads(last_words.read_text())
    assert told["reason"] == "InvalidSettings"
    assert "SAM2_AGENT_CVAT_PROXY_URL" in told["message"]
