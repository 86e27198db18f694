"""Where a pod may run: the parts of Kubernetes' pod specification that pass through to the agent's pod.

They are spelled out instead of being left open, so that the API server refuses a misspelled field when the
tracker is applied, and `kubectl explain` knows them. Meanings are those of the Pod API (core/v1).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sam2_operator.api.base import ApiModel, LabelKey, LabelValue, NamespaceName, ObjectName, configured

SelectorValues = Annotated[list[LabelValue], Field(max_length=64)]


class Toleration(ApiModel):
    """A taint that the agent's pod tolerates."""

    model_config = configured(
        (
            "!has(self.operator) || self.operator != 'Exists' || !has(self.value)",
            "a toleration with operator Exists takes no value",
        ),
        (
            "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            "a toleration without key needs operator Exists",
        ),
        (
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds needs effect NoExecute",
        ),
    )

    key: LabelKey | None = Field(
        None, description="Key of the taint; empty with operator Exists matches every taint."
    )
    operator: Literal["Equal", "Exists"] | None = Field(
        None, description="How key relates to value; Equal when unset."
    )
    value: LabelValue | None = Field(None, description="Value of the taint, for operator Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint; unset matches all effects."
    )
    toleration_seconds: Annotated[int, Field(ge=0, le=31_536_000)] | None = Field(
        None,
        description="How long the pod stays on a node that gets a matching NoExecute taint; unset is for "
        "ever.",
    )


_IN_OR_EXISTS = (
    (
        "!(self.operator in ['In', 'NotIn']) || (has(self.values) && self.values.size() > 0)",
        "operators In and NotIn need values",
    ),
    (
        "!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || self.values.size() == 0",
        "operators Exists and DoesNotExist take no values",
    ),
)


class NodeRequirement(ApiModel):
    """One requirement on a node's labels."""

    model_config = configured(
        *_IN_OR_EXISTS,
        (
            (
                "!(self.operator in ['Gt', 'Lt']) || "
                "(has(self.values) && self.values.size() == 1 && self.values[0].matches('^[0-9]{1,18}$'))"
            ),
            "operators Gt and Lt take one whole number",
        ),
    )

    key: LabelKey = Field(description="Label of the node.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field(
        description="How the key relates to the values."
    )
    values: SelectorValues | None = Field(None, description="Values to compare with.")


class NodeFieldRequirement(ApiModel):
    """One requirement on a node's fields: its name."""

    key: Literal["metadata.name"] = Field(description="The field: metadata.name, the only one there is.")
    operator: Literal["In", "NotIn"] = Field(description="Whether it is to be the node, or any other.")
    values: Annotated[list[ObjectName], Field(min_length=1, max_length=1)] = Field(
        description="Name of the node; exactly one."
    )


class NodeSelectorTerm(ApiModel):
    """Requirements that must hold together."""

    match_expressions: Annotated[list[NodeRequirement], Field(max_length=32)] | None = Field(
        None, description="Requirements on the node's labels."
    )
    match_fields: Annotated[list[NodeFieldRequirement], Field(max_length=8)] | None = Field(
        None, description="Requirements on the node's fields."
    )


class NodeSelector(ApiModel):
    """Terms of which one must hold."""

    node_selector_terms: Annotated[list[NodeSelectorTerm], Field(min_length=1, max_length=16)] = Field(
        description="Terms of which at least one must match."
    )


class PreferredNodes(ApiModel):
    """A weighted preference for nodes."""

    weight: Annotated[int, Field(ge=1, le=100)] = Field(description="How much it counts, 1 to 100.")
    preference: NodeSelectorTerm = Field(description="The preferred nodes.")


class NodeAffinity(ApiModel):
    """Which nodes the pod needs or prefers."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = Field(
        None, description="Nodes that do not match are never used."
    )
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[PreferredNodes], Field(max_length=16)] | None
    ) = Field(None, description="Nodes that match are preferred.")


class LabelRequirement(ApiModel):
    """One requirement on labels."""

    model_config = configured(*_IN_OR_EXISTS)

    key: LabelKey = Field(description="Label key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="How the key relates to the values."
    )
    values: SelectorValues | None = Field(None, description="Values to compare with.")


class LabelSelector(ApiModel):
    """A selection of objects by their labels."""

    match_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] | None = Field(
        None, description="Labels that must be there with these values."
    )
    match_expressions: Annotated[list[LabelRequirement], Field(max_length=32)] | None = Field(
        None, description="Requirements that must all hold."
    )


class PodAffinityTerm(ApiModel):
    """Pods to be near to, or away from."""

    topology_key: LabelKey = Field(
        description="Node label that says what near means, e.g. kubernetes.io/hostname."
    )
    label_selector: LabelSelector | None = Field(None, description="The pods meant.")
    namespace_selector: LabelSelector | None = Field(None, description="The namespaces of the pods meant.")
    namespaces: Annotated[list[NamespaceName], Field(max_length=32)] | None = Field(
        None, description="Names of the namespaces of the pods meant; the tracker's own when unset."
    )


class WeightedPodAffinityTerm(ApiModel):
    """A weighted wish to be near to, or away from, pods."""

    weight: Annotated[int, Field(ge=1, le=100)] = Field(description="How much it counts, 1 to 100.")
    pod_affinity_term: PodAffinityTerm = Field(description="The pods meant.")


class PodAffinity(ApiModel):
    """Which pods the pod needs, or prefers, to be near to (or away from)."""

    required_during_scheduling_ignored_during_execution: (
        Annotated[list[PodAffinityTerm], Field(max_length=16)] | None
    ) = Field(None, description="Must hold for a node to be used.")
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[WeightedPodAffinityTerm], Field(max_length=16)] | None
    ) = Field(None, description="Preferred where possible.")


class Affinity(ApiModel):
    """Rules about the agent's node."""

    node_affinity: NodeAffinity | None = Field(None, description="By the node's labels.")
    pod_affinity: PodAffinity | None = Field(None, description="Near to other pods.")
    pod_anti_affinity: PodAffinity | None = Field(None, description="Away from other pods.")
