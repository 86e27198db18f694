"""`spec.model`: which SAM2 model tracks, and where its weights are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sam2_operator.api.base import ApiModel, DataKey, ObjectName, QuantityText, configured, rules

_ABOVE_ZERO = rules(
    (
        "isQuantity(self) && quantity(self).isInteger() && quantity(self).isGreaterThan(quantity('0'))",
        "size must be a quantity above zero, of whole bytes and less than 8Ei",
    )
)


class WeightsVolume(ApiModel):
    """A volume with a model on it."""

    claim_name: ObjectName = Field(
        description="PersistentVolumeClaim in this namespace; it is mounted read-only and must be readable "
        "by user or group 65532."
    )


class EphemeralCache(ApiModel):
    """A cache that lives and dies with the pod."""

    size_limit: QuantityText = Field(
        "10Gi",
        description="Most space that it may take on the node before the pod is evicted.",
        json_schema_extra=_ABOVE_ZERO,
    )


class CacheClaimTemplate(ApiModel):
    """A PersistentVolumeClaim that the operator makes and deletes together with the tracker."""

    model_config = configured(
        (
            (
                "has(self.storageClassName) == has(oldSelf.storageClassName) && "
                "(!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)"
            ),
            (
                "storageClassName cannot change: remove volumeClaimTemplate (the cached weights go), then "
                "set it anew"
            ),
        ),
        (
            "self.accessMode == oldSelf.accessMode",
            "accessMode cannot change: remove volumeClaimTemplate (the cached weights go), then set it anew",
        ),
        (
            (
                "!isQuantity(self.size) || !isQuantity(oldSelf.size) || "
                "quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0"
            ),
            "size can only grow",
        ),
    )

    size: QuantityText = Field(
        description="Space asked for, e.g. 10Gi; it can only grow.", json_schema_extra=_ABOVE_ZERO
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
                "[has(self.ephemeral), has(self.persistentVolumeClaim), "
                "has(self.volumeClaimTemplate)].filter(given, given).size() == 1"
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
    ("self.matches(r'^[^\\x00-\\x1f\\x7f]*$')", "must not contain control characters"),
    (
        "!self.startsWith('/') && !self.split('/').exists(part, part == '..')",
        "must be a path relative to the volume's root, without ..",
    ),
)


class ModelSpec(ApiModel):
    """Which SAM2 model tracks: one of the Hugging Face hub, or one on a volume."""

    model_config = configured(
        (
            "has(self.id) != (has(self.volume) || has(self.config) || has(self.checkpoint))",
            (
                "give either id (a model of the Hugging Face hub) or volume, config and checkpoint (a model "
                "on a volume)"
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
            ),
            (
                r"self.size() <= 96 && !self.matches(r'--|\.\.|[-.](/|$)|\.git$')",
                (
                    "is no name that the hub gives: at most 96 characters, no -- or .., and no part ends "
                    "with -, . or .git"
                ),
            ),
        ),
    )
    revision: (
        Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][-A-Za-z0-9_./]*$")] | None
    ) = Field(
        None, description="Branch, tag or commit of the model on the hub; a commit pins the weights for good."
    )
    volume: WeightsVolume | None = Field(
        None,
        description="Volume with config and checkpoint, for clusters without internet and for models of "
        "your own.",
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
