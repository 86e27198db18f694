"""`spec`: what a user asks for. Field descriptions are the manual that `kubectl explain` shows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from sam2_operator.api.base import ApiModel, DataKey, Duration, ObjectName, QuantityText, configured, rules
from sam2_operator.api.workload import AgentSpec, KeyReference, LocalObjectReference

ShapeType = Literal["mask", "polygon", "rectangle"]

_ONE_CA = (
    "has(self.configMapKeyRef) != has(self.secretKeyRef)",
    "give exactly one of configMapKeyRef and secretKeyRef",
)


def _url_rules(schemes: tuple[str, ...], advice: str) -> dict[str, Any]:
    listed = ", ".join(f"'{scheme}'" for scheme in schemes)
    return rules(
        (
            f"isURL(self) && url(self).getScheme() in [{listed}] && url(self).getHostname() != ''",
            (
                f"must be a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)} and "
                f"names a "
                f"host"
            ),
        ),
        ("!self.contains('@')", f"must not contain a user name or password: {advice}"),
        ("!self.contains('?') && !self.contains('#')", "must have neither a query (?) nor a fragment (#)"),
    )


class CABundle(ApiModel):
    """Certificates, PEM encoded, to trust in addition to the public ones."""

    model_config = configured(_ONE_CA)

    config_map_key_ref: KeyReference | None = Field(
        None, description="A key of a ConfigMap in this namespace."
    )
    secret_key_ref: KeyReference | None = Field(None, description="A key of a Secret in this namespace.")


class CvatSpec(ApiModel):
    """Which CVAT the tracker serves, and as whom."""

    model_config = configured(
        ("self.url == oldSelf.url", "url cannot change: another CVAT is another tracker, make a new one"),
        (
            "self.organization == oldSelf.organization",
            "organization cannot change: another organization is another tracker, make a new one",
        ),
    )

    url: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="Address of CVAT as a browser would use it, e.g. https://app.cvat.ai. Cannot change.",
        json_schema_extra=_url_rules(
            ("http", "https"), "put them into the Secret named by credentialsSecretRef"
        ),
    )
    organization: Annotated[str, Field(max_length=64, pattern=r"^[-a-zA-Z0-9_]*$")] = Field(
        "",
        description="Short name (slug) of the organization in CVAT that the function belongs to; empty is "
        "the "
        "account's personal workspace. Cannot change.",
    )
    credentials_secret_ref: LocalObjectReference = Field(
        description="Secret in this namespace with the account's credentials: either the key token (an "
        "access token "
        "of CVAT), or the keys username and password. The account must have access to the tasks that "
        "annotators "
        "track in.",
    )
    ca_bundle: CABundle | None = Field(
        None, description="Certificates that sign CVAT's own, if they are not publicly trusted."
    )


class FunctionSpec(ApiModel):
    """How the function appears in CVAT. CVAT's functions cannot be edited: a change here makes a new one."""

    name: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        None, description="Name that annotators see. Default: the name of the tracker."
    )
    visibility: Literal["private", "public"] = Field(
        "private",
        description="Who may use the function: private is its owner (or organization), public is everyone.",
    )
    shape_types: Annotated[list[ShapeType], Field(min_length=1, max_length=3)] = Field(
        ["mask", "polygon"],
        description="Which shapes can be tracked.",
        # Not of list type set: a server-side apply would add to the default instead of replacing it.
        json_schema_extra={
            "x-kubernetes-list-type": "atomic",
            **rules(("self.all(one, self.exists_one(other, other == one))", "name each shape once")),
        },
    )
    id: Annotated[int, Field(ge=1, le=2_147_483_647)] | None = Field(
        None,
        description="Serve this existing function of CVAT (kind tracker, provider native) instead of "
        "registering one. "
        "It is never deleted by the operator; name and visibility are then those it has.",
    )
    deletion_policy: Literal["Delete", "Retain"] = Field(
        "Delete",
        description="What happens to the function in CVAT when the tracker is deleted. A function given by "
        "id is "
        "always retained.",
    )


class WeightsVolume(ApiModel):
    """A volume with a model on it."""

    claim_name: ObjectName = Field(
        description="PersistentVolumeClaim in this namespace; it is mounted read-only and must be readable "
        "by "
        "user or group 65532."
    )


class EphemeralCache(ApiModel):
    """A cache that lives and dies with the pod."""

    size_limit: QuantityText = Field(
        "10Gi", description="Most space that it may take on the node before the pod is evicted."
    )


class CacheClaimTemplate(ApiModel):
    """A PersistentVolumeClaim that the operator makes and deletes together with the tracker."""

    model_config = configured(
        (
            (
                "has(self.storageClassName) == has(oldSelf.storageClassName) &&"
                " (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)"
            ),
            (
                "storageClassName cannot change: remove volumeClaimTemplate (the cached weights go), then "
                "set it "
                "anew"
            ),
        ),
        (
            "self.accessMode == oldSelf.accessMode",
            "accessMode cannot change: remove volumeClaimTemplate (the cached weights go), then set it anew",
        ),
        (
            (
                "!isQuantity(self.size) || !isQuantity(oldSelf.size) ||"
                " quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0"
            ),
            "size can only grow",
        ),
    )

    size: QuantityText = Field(
        description="Space asked for, e.g. 10Gi; it can only grow.",
        json_schema_extra=rules(
            (
                "isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",
                "size must be a quantity above zero",
            )
        ),
    )
    storage_class_name: ObjectName | None = Field(
        None, description="StorageClass; the cluster's default when unset. Cannot change."
    )
    access_mode: Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"] = Field(
        "ReadWriteOnce",
        description="Access mode of the claim. spec.agent.onNodeLoss Replace needs ReadWriteMany. Cannot "
        "change.",
    )


class ExistingClaim(ApiModel):
    """A PersistentVolumeClaim that somebody else made."""

    claim_name: ObjectName = Field(
        description="PersistentVolumeClaim in this namespace; it is left alone on deletion."
    )


class CacheSpec(ApiModel):
    """Where downloaded weights are kept. Exactly one of the fields."""

    model_config = configured(
        (
            (
                "[has(self.ephemeral), has(self.persistentVolumeClaim), has(self.volumeClaimTemplate)]"
                ".filter(given, given).size() == 1"
            ),
            "give exactly one of ephemeral, persistentVolumeClaim and volumeClaimTemplate",
        )
    )

    ephemeral: EphemeralCache | None = Field(
        None, description="Space on the node: each new pod downloads the weights again. The default."
    )
    persistent_volume_claim: ExistingClaim | None = Field(None, description="An existing claim.")
    volume_claim_template: CacheClaimTemplate | None = Field(
        None, description="A claim named <tracker>-cache that the operator makes."
    )


class TokenReference(ApiModel):
    """A token in a Secret."""

    name: ObjectName = Field(description="Secret in this namespace.")
    key: DataKey = Field("token", description="Key of the token.")


_RELATIVE = rules(
    (
        "!self.startsWith('/') && !self.split('/').exists(part, part == '..')",
        "must be a path relative to the volume's root, without ..",
    )
)


class ModelSpec(ApiModel):
    """Which SAM2 model tracks: one of the Hugging Face hub, or one on a volume."""

    model_config = configured(
        (
            "has(self.id) != (has(self.volume) || has(self.config) || has(self.checkpoint))",
            (
                "give either id (a model of the Hugging Face hub) or volume, config and checkpoint (a model "
                "on a "
                "volume)"
            ),
        ),
        (
            "has(self.volume) == has(self.config) && has(self.volume) == has(self.checkpoint)",
            "volume, config and checkpoint belong together: give all three or none",
        ),
        (
            "has(self.id) || !(has(self.revision) || has(self.cache) || has(self.tokenSecretRef))",
            "revision, cache and tokenSecretRef are for models of the Hugging Face hub: they need id",
        ),
    )

    id: Annotated[str, Field(min_length=3, max_length=200)] | None = Field(
        None,
        description="Id of a SAM2 or SAM2.1 model on the Hugging Face hub, e.g. facebook/sam2.1-hiera-large.",
        json_schema_extra=rules(
            (
                "self.matches('^[A-Za-z0-9][-A-Za-z0-9_.]*/[A-Za-z0-9][-A-Za-z0-9_.]*$')",
                "must be <owner>/<model>, e.g. facebook/sam2.1-hiera-large",
            )
        ),
    )
    revision: (
        Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][-A-Za-z0-9_./]*$")] | None
    ) = Field(
        None, description="Branch, tag or commit of the model on the hub; a commit pins the weights for good."
    )
    volume: WeightsVolume | None = Field(
        None,
        description="Volume with config and checkpoint, for clusters without internet and for models of your "
        "own.",
    )
    config: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        None,
        description="Path of the model's Hydra configuration (.yaml) on the volume.",
        json_schema_extra=_RELATIVE,
    )
    checkpoint: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        None, description="Path of the model's weights (.pt) on the volume.", json_schema_extra=_RELATIVE
    )
    cache: CacheSpec | None = Field(
        None, description="Where weights from the hub are kept. Default: ephemeral space on the node."
    )
    token_secret_ref: TokenReference | None = Field(
        None, description="Access token of the Hugging Face hub, for gated or private models."
    )
    device: Annotated[str, Field(min_length=3, max_length=8)] = Field(
        "cuda",
        description="Where the model runs: cuda, cuda:N or cpu. On a cpu SAM2 takes seconds for a frame.",
        json_schema_extra=rules(
            ("self.matches('^(cuda(:[0-9]{1,2})?|cpu)$')", "must be cuda, cuda:N or cpu")
        ),
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Number format of the computation; auto is bfloat16 on cuda and float32 on cpu."
    )


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
        "installed with "
        "the operator, where each tracker gets a user limited to its own keys.",
        json_schema_extra=_url_rules(
            ("redis", "rediss"), "put the whole URL into a Secret and name it in secretRef"
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
        "its last "
        "use; 1m to 24h. A track used later goes on, its first frame takes longer.",
        json_schema_extra=rules(
            (
                "duration(self) >= duration('1m') && duration(self) <= duration('24h')",
                "must be between 1m and 24h",
            )
        ),
    )


class TrackerSpec(ApiModel):
    """What is wanted. Usually cvat.url, cvat.credentialsSecretRef and model.id are enough."""

    model_config = configured(
        (
            (
                "self.agent.onNodeLoss != 'Replace' || !has(self.model.cache) ||"
                " !has(self.model.cache.volumeClaimTemplate) ||"
                " self.model.cache.volumeClaimTemplate.accessMode == 'ReadWriteMany'"
            ),
            (
                "agent.onNodeLoss Replace needs a model cache that two nodes can mount: "
                "make its accessMode ReadWriteMany, or leave the cache ephemeral"
            ),
        )
    )

    cvat: CvatSpec = Field(description="Which CVAT the tracker serves, and as whom.")
    function: FunctionSpec = Field(
        default_factory=FunctionSpec, description="How the function appears in CVAT."
    )
    model: ModelSpec = Field(description="Which SAM2 model tracks.")
    state: StateSpec = Field(default_factory=StateSpec, description="The Redis that keeps the tracks.")
    agent: AgentSpec = Field(default_factory=AgentSpec, description="How the agent's pod runs.")
    suspend: bool = Field(
        default=False,
        description="Stop the agent and free its GPU; the function stays in CVAT, the tracks in Redis.",
    )
