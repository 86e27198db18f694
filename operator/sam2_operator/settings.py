"""The operator's settings: environment variables `SAM2_OPERATOR_*`; secrets are files that they name."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "SAM2_OPERATOR_"

Names = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """All settings; an unknown `SAM2_OPERATOR_` variable is an error, so that a misspelled one is found."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True)

    instance: str = Field(
        default_factory=socket.gethostname, description="Name of this process, e.g. of its pod."
    )
    namespace: str = Field("", description="Namespace of the operator itself.")
    namespaces: Names = Field((), description="Namespaces served, comma separated; empty is all.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")
    log_format: Literal["json", "text"] = Field("text", description="How it is logged.")
    http_port: int = Field(
        8080, ge=0, le=65535, description="Port of /livez, /readyz and /metrics; 0 is any."
    )

    agent_image: str = Field(
        "sam2-tracker-agent:0.1.0", description="Image of agents whose tracker names none."
    )
    agent_image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        None, description="Pull policy of that image."
    )
    agent_image_pull_secrets: Names = Field(
        (), description="Pull secrets of agents whose tracker names none, comma separated."
    )

    redis_url: str | None = Field(None, description="The Redis of trackers that name none, without password.")
    redis_url_file: Path | None = Field(None, description="File with that URL, if it holds a password.")
    redis_password_file: Path | None = Field(None, description="File with the password of the URL's user.")
    redis_ca_file: Path | None = Field(None, description="Certificates that sign that Redis' own.")
    redis_manage_users: bool = Field(
        default=True, description="Make each tracker a user of that Redis, limited to its keys."
    )

    door_key_file: Path | None = Field(
        None, description="File with the key by which agents know the gateway; without one there is none."
    )
    gateway_labels: Names = Field((), description="Labels of the gateway's pods, as name=value.")

    interval_seconds: float = Field(
        60, gt=0, le=3600, description="A tracker is reconciled at least this often."
    )
    agent_interval_seconds: float = Field(
        15,
        gt=0,
        le=30,
        description="An agent is asked for its status, and a tracker not ready reconciled, this often.",
    )
    watch_silence_seconds: float = Field(
        70,
        gt=0,
        le=600,
        description="A watch without any event for so long is renewed; the API server sends one a minute.",
    )
    deletion_deadline_seconds: float = Field(
        600, ge=0, description="How long a deleted tracker waits for CVAT and Redis before it is let go."
    )
    workers: int = Field(8, ge=1, le=64, description="How many trackers are reconciled at the same time.")

    @field_validator("namespaces", "agent_image_pull_secrets", "gateway_labels", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _one_url(self) -> Self:
        if self.redis_url is not None and self.redis_url_file is not None:
            raise ValueError(f"give {PREFIX}REDIS_URL or {PREFIX}REDIS_URL_FILE, not both")
        return self

    @model_validator(mode="after")
    def _whole_gateway(self) -> Self:
        if bool(self.gateway_labels) != (self.door_key_file is not None):
            raise ValueError(f"give {PREFIX}DOOR_KEY_FILE and {PREFIX}GATEWAY_LABELS together")
        if any(not all(label.partition("=")) for label in self.gateway_labels):
            raise ValueError(f"{PREFIX}GATEWAY_LABELS must be name=value, comma separated")
        return self

    @model_validator(mode="after")
    def _no_unknown_variable(self) -> Self:
        known = {f"{PREFIX}{name}".upper() for name in type(self).model_fields}
        unknown = sorted(
            name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known
        )
        if unknown:
            raise ValueError(f"unknown variables: {', '.join(unknown)}")
        return self
