"""`spec.state`: the Redis that keeps what annotators have begun."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sam2_operator.api.base import ApiModel, DataKey, Duration, ObjectName, configured, rules
from sam2_operator.api.references import CABundle, url_rules


class UrlReference(ApiModel):
    """A URL in a Secret."""

    name: ObjectName = Field(description="Secret in this namespace.")
    key: DataKey = Field(
        "url", description="Key of the URL, e.g. rediss://user:password@redis.example:6379/0."
    )


class StateSpec(ApiModel):
    """The Redis that keeps what annotators have begun, so that no restart loses it."""

    model_config = configured(
        ("!(has(self.url) && has(self.secretRef))", "give url or secretRef, not both"),
        ("duration(self.memoryTTL) <= duration(self.ttl)", "memoryTTL must not be longer than ttl"),
        (
            "!has(self.caBundle) || has(self.url) || has(self.secretRef)",
            "caBundle is for a Redis of your own: it needs url or secretRef",
        ),
    )

    url: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        None,
        description="A Redis of your own without password, redis:// or rediss://. Default: the Redis "
        "installed with the operator, where each tracker gets a user limited to its own keys.",
        json_schema_extra=url_rules(
            ("redis", "rediss"),
            "put the whole URL into a Secret and name it in secretRef",
            path="(/[0-9]{0,5})?",
        ),
    )
    secret_ref: UrlReference | None = Field(
        None, description="A Redis of your own whose URL, with user and password, is in a Secret."
    )
    ca_bundle: CABundle | None = Field(
        None,
        description="Certificates that sign those of a Redis of your own, if they are not publicly trusted.",
    )
    ttl: Duration = Field(
        "8h",
        description="How long a track can be continued after its last use, e.g. 8h or 30m; 5m to 720h.",
        json_schema_extra=rules(
            (
                "duration(self) >= duration('5m') && duration(self) <= duration('720h')",
                "must be between 5m and 720h",
            )
        ),
    )
    memory_ttl: Duration = Field(
        "15m",
        alias="memoryTTL",
        description="How long the model's memory of a track (about 0.5 MB a frame and object) is kept after "
        "its last use; 1m to 24h. A track used later goes on, its first frame takes longer. With interface "
        "Serverless it is kept for as long as the track, since it cannot be computed again there.",
        json_schema_extra=rules(
            (
                "duration(self) >= duration('1m') && duration(self) <= duration('24h')",
                "must be between 1m and 24h",
            )
        ),
    )
