"""The agent's settings: environment variables that begin with `SAM2_AGENT_`, and the files that they name."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from sam2_agent.errors import InvalidSettings

PREFIX = "SAM2_AGENT_"

ShapeType: TypeAlias = Literal["mask", "polygon", "rectangle"]


def _readable(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"there is no folder {path}")
    return path


ReadableFile = Annotated[Path, AfterValidator(_readable)]
Folder = Annotated[Path, AfterValidator(_folder)]


def _holder() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _log_format() -> Literal["json", "text"]:
    return "text" if sys.stderr.isatty() else "json"


class Settings(BaseSettings):
    """What every agent needs, and a function of Nuclio.

    Each field is the variable `SAM2_AGENT_` and its name in capitals; docs/agent.md lists them.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    shape_types: Annotated[frozenset[ShapeType], NoDecode] = frozenset({"mask", "polygon", "rectangle"})

    model_id: str | None = None
    model_revision: str | None = None
    model_config_file: Annotated[Path | None, Field(validation_alias=PREFIX + "MODEL_CONFIG")] = None
    model_checkpoint: Path | None = None
    model_cache_dir: Path | None = None
    model_token_file: ReadableFile | None = None
    device: str = "cuda"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    redis_url: SecretStr | None = None
    redis_url_file: ReadableFile | None = None
    redis_ca_file: ReadableFile | None = None
    key_prefix: Annotated[str, Field(pattern=r"^[^{}\s]*\{[^{}\s]+\}[^{}\s]*$")]
    state_ttl_seconds: Annotated[int, Field(ge=60)] = 28_800

    @field_validator("shape_types", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.shape_types:
            raise ValueError("SHAPE_TYPES names no shape type; use mask, polygon, rectangle")
        volume = (self.model_config_file, self.model_checkpoint)
        if bool(self.model_id) == any(volume) or (any(volume) and not all(volume)):
            raise ValueError("set either MODEL_ID, or both MODEL_CONFIG and MODEL_CHECKPOINT")
        if self.model_revision and not self.model_id:
            raise ValueError("MODEL_REVISION goes with MODEL_ID")
        if bool(self.redis_url) == bool(self.redis_url_file):
            raise ValueError("set either REDIS_URL or REDIS_URL_FILE")
        return self

    def read_redis_url(self) -> str:
        """Return the URL of Redis, which may hold a password."""
        if self.redis_url:
            return self.redis_url.get_secret_value()
        return _read(self.redis_url_file)

    def read_model_token(self) -> str | None:
        """Return the token for the model hub, if there is one."""
        return _read(self.model_token_file) if self.model_token_file else None


class AgentSettings(Settings):
    """What a process needs that stands by itself, and is one of many for whom only one may answer."""

    holder: Annotated[str, Field(min_length=1, max_length=256, default_factory=_holder)]
    lease_seconds: Annotated[float, Field(ge=1, le=300)] = 15.0

    http_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    termination_message_file: Path = Path("/dev/termination-log")
    log_format: Annotated[Literal["json", "text"], Field(default_factory=_log_format)]


class QueueSettings(AgentSettings):
    """An agent that serves a function's queue in CVAT."""

    interface: Literal["agent"] = "agent"
    cvat_url: HttpUrl
    cvat_organization: Annotated[str, Field(pattern=r"^[-a-zA-Z0-9_]*$")] = ""
    cvat_credentials_dir: Folder
    cvat_ca_file: ReadableFile | None = None
    cvat_proxy_url: HttpUrl | None = None
    function_id: Annotated[int, Field(ge=0)]
    agent_id: Annotated[str, Field(pattern=r"^\w{1,64}$")]
    memory_ttl_seconds: Annotated[int, Field(ge=10)] = 900

    @model_validator(mode="after")
    def _no_credentials_in_url(self) -> Self:
        if self.cvat_url.username or self.cvat_url.password:
            raise ValueError(
                "CVAT_URL holds credentials; put them into files (SAM2_AGENT_CVAT_CREDENTIALS_DIR)"
            )
        return self


class ServerlessSettings(AgentSettings):
    """An agent that is called, as CVAT calls serverless functions."""

    interface: Literal["serverless"]
    door_port: Annotated[int, Field(ge=0, le=65_535)] = 8081
    door_token_file: ReadableFile | None = None


S = TypeVar("S", bound=Settings)


def load(environment: Mapping[str, str]) -> QueueSettings | ServerlessSettings:
    """Read the settings; raises `InvalidSettings` with a sentence for each fault, and never with a value."""
    serverless = environment.get(PREFIX + "INTERFACE") == "serverless"
    kind: type[QueueSettings | ServerlessSettings] = ServerlessSettings if serverless else QueueSettings
    require_known(kind, environment)
    return build(kind)


def require_known(kind: type[Settings], environment: Mapping[str, str]) -> None:
    """Raise `InvalidSettings` where a variable looks like a setting and is none: somebody misspelt it."""
    known = {field.validation_alias or (PREFIX + name.upper()) for name, field in kind.model_fields.items()}
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise InvalidSettings(
            f"Unknown settings: {', '.join(unknown)}; correct their names (see docs/agent.md), or unset them."
        )


def build(kind: type[S], **given: Any) -> S:
    """Make settings from what is given and the environment; raises `InvalidSettings` as `load` does."""
    try:
        return kind(**given)
    except ValidationError as error:
        faults = [
            f"{_variable(fault['loc'])}: {fault['msg'].removeprefix('Value error, ')}"
            if fault["loc"]
            else fault["msg"]
            for fault in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise InvalidSettings(f"The settings are not right. {'; '.join(faults)}.") from None


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0])
    return name if name.startswith(PREFIX) else PREFIX + name.upper()


def _read(file: Path | None) -> str:
    try:
        text = file.read_text(encoding="utf-8").strip() if file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"The file {file} cannot be read.") from error
    if not text:
        raise InvalidSettings(f"The file {file} is empty.")
    return text
