"""Settings: what is right is read, what is wrong is named, and no value is shown."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from sam2_agent import VERSION, settings
from sam2_agent.errors import InvalidSettings
from sam2_agent.settings import QueueSettings, ServerlessSettings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def good(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "token").write_text("secret-token")
    (tmp_path / "url").write_text("redis://:secret-password@redis:6379/0\n")
    return {
        "CVAT_URL": "https://cvat.example.com",
        "CVAT_CREDENTIALS_DIR": str(tmp_path),
        "FUNCTION_ID": "7",
        "AGENT_ID": "s2t_abc_7",
        "SHAPE_TYPES": "mask, rectangle",
        "MODEL_ID": "facebook/sam2.1-hiera-tiny",
        "REDIS_URL_FILE": str(tmp_path / "url"),
        "KEY_PREFIX": "s2t:{abc}:",
    }


def load(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> QueueSettings:
    environment = {settings.PREFIX + name: value for name, value in values.items()}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = settings.load(environment)
    assert isinstance(found, QueueSettings)
    return found


def test_settings_are_read(monkeypatch: pytest.MonkeyPatch, good: dict[str, str]) -> None:
    found = load(monkeypatch, good)
    assert found.shape_types == {"mask", "rectangle"}
    assert found.read_redis_url() == "redis://:secret-password@redis:6379/0"
    assert (found.device, found.precision, found.lease_seconds) == ("cuda", "auto", 15)
    assert (found.state_ttl_seconds, found.memory_ttl_seconds, found.http_port) == (28800, 900, 8080)
    assert found.holder


def test_a_model_on_a_volume(monkeypatch: pytest.MonkeyPatch, good: dict[str, str]) -> None:
    del good["MODEL_ID"]
    found = load(monkeypatch, {**good, "MODEL_CONFIG": "/m/a.yaml", "MODEL_CHECKPOINT": "/m/a.pt"})
    assert (found.model_config_file, found.model_checkpoint) == (Path("/m/a.yaml"), Path("/m/a.pt"))


def test_empty_means_absent(monkeypatch: pytest.MonkeyPatch, good: dict[str, str]) -> None:
    assert load(monkeypatch, {**good, "CVAT_ORGANIZATION": "", "REDIS_URL": ""}).cvat_organization == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"FUNCTION_ID": "seven"}, "SAM2_AGENT_FUNCTION_ID"),
        ({"AGENT_ID": "a-b"}, "SAM2_AGENT_AGENT_ID"),
        ({"SHAPE_TYPES": "mask,ellipse"}, "SAM2_AGENT_SHAPE_TYPES"),
        ({"MODEL_CONFIG": "/m/a.yaml"}, "set either MODEL_ID, or both"),
        ({"MODEL_ID": ""}, "set either MODEL_ID, or both"),
        ({"REDIS_URL": "redis://:secret-password@other"}, "set either REDIS_URL or REDIS_URL_FILE"),
        ({"REDIS_URL_FILE": "/nowhere"}, "there is no file /nowhere"),
        ({"CVAT_CREDENTIALS_DIR": "/nowhere"}, "there is no folder /nowhere"),
        ({"KEY_PREFIX": "no hash tag"}, "SAM2_AGENT_KEY_PREFIX"),
        ({"PRECISION": "float16"}, "SAM2_AGENT_PRECISION"),
        ({"CVAT_URL": "https://robot:secret@cvat.example.com"}, "SAM2_AGENT_CVAT_CREDENTIALS_DIR"),
        ({"CVAT_ORGANIZATION": "my\nlab"}, "SAM2_AGENT_CVAT_ORGANIZATION"),
        ({"CVAT_URl": "https://x"}, "Unknown settings: SAM2_AGENT_CVAT_URl"),
    ],
)
def test_what_is_wrong_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, good: dict[str, str], changes: dict[str, str], words: str
) -> None:
    with pytest.raises(InvalidSettings) as error:
        load(monkeypatch, {**good, **changes})
    assert words in str(error.value)
    assert "secret" not in repr(error.value)
    assert error.value.__cause__ is None


def test_the_version_is_the_distributions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "agent.md").read_text()
    names = [
        field.validation_alias or settings.PREFIX + name.upper()
        for kind in (QueueSettings, ServerlessSettings)
        for name, field in kind.model_fields.items()
    ]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_an_agent_that_is_called_needs_no_cvat(monkeypatch: pytest.MonkeyPatch, good: dict[str, str]) -> None:
    queue = ("CVAT_URL", "CVAT_CREDENTIALS_DIR", "FUNCTION_ID", "AGENT_ID")
    called = {name: value for name, value in good.items() if name not in queue} | {"INTERFACE": "serverless"}
    environment = {settings.PREFIX + name: value for name, value in called.items()}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = settings.load(environment)
    assert isinstance(found, ServerlessSettings)
    assert (found.door_port, found.door_token_file) == (8081, None)
    with pytest.raises(InvalidSettings, match="SAM2_AGENT_CVAT_URL"):
        settings.load({**environment, "SAM2_AGENT_CVAT_URL": "http://cvat"})
