"""The gateway's settings: environment variables `SAM2_GATEWAY_*`; secrets are files that they name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, HttpUrl, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "SAM2_GATEWAY_"


class GatewaySettings(BaseSettings):
    """All settings; an unknown `SAM2_GATEWAY_` variable is an error, so that a misspelled one is found."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True)

    namespaces: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Namespaces whose trackers are shown, comma separated; empty is all."
    )
    selector: str = Field("", description="Labels that trackers must have to be shown, as kubectl -l.")
    port: int = Field(8070, ge=1, le=65535, description="Port for CVAT.")
    http_port: int = Field(8080, ge=1, le=65535, description="Port of /livez, /readyz and /metrics.")
    door_key_file: Path = Field(description="File with the key by which agents know the gateway.")
    door_address: str = Field(
        "http://{service}.{namespace}.svc:{port}", description="How agents are reached, by their Service."
    )
    secret_file: Path | None = Field(None, description="File with what CVAT must show; without one, nothing.")
    nuclio_url: HttpUrl | None = Field(
        None, description="A Nuclio dashboard, which gets everything that is not for a tracker."
    )
    roster_file: Path | None = Field(
        None, description="Where the trackers last known are kept, for a start without an API server."
    )
    default_timeout_seconds: float = Field(
        120, gt=0, le=3600, description="How long a call may take whose caller does not say."
    )
    max_bytes: int = Field(2**29, ge=2**20, description="Of all calls in hand together.")
    max_waiting: int = Field(256, ge=1, description="Calls that may wait for room.")
    max_calls_per_tracker: int = Field(32, ge=1, description="Calls in hand for one agent.")
    interval_seconds: float = Field(30, gt=0, le=600, description="Trackers are listed at least this often.")
    watch_silence_seconds: float = Field(70, gt=0, le=600, description="A watch so long silent is renewed.")
    linger_seconds: float = Field(
        3, ge=0, le=60, description="How long calls are taken after it was told to end."
    )
    drain_seconds: float = Field(125, gt=0, le=3605, description="How long calls in hand may take then.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")
    log_format: Literal["json", "text"] = Field("text", description="How it is logged.")

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("door_address")
    @classmethod
    def _addresses(cls, value: str) -> str:
        try:
            value.format(service="s", namespace="n", name="t", port=1)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError("may name {service}, {namespace}, {name} and {port} only") from error
        return value

    @model_validator(mode="after")
    def _no_unknown_variable(self) -> Self:
        known = {f"{PREFIX}{name}".upper() for name in type(self).model_fields}
        unknown = sorted(
            name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known
        )
        if unknown:
            raise ValueError(f"unknown variables: {', '.join(unknown)}")
        return self
