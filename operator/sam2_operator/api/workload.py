"""`spec.agent`: how the agent's pod runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from sam2_operator.api.base import (
    DNS_LABEL,
    ApiModel,
    LabelKey,
    LabelValue,
    ObjectName,
    Quantity,
    configured,
    rules,
)
from sam2_operator.api.references import KeyReference, LocalObjectReference
from sam2_operator.api.scheduling import Affinity, Toleration

_RESOURCE_NAMES = rules(
    (
        (
            "self.all(key, key in ['cpu', 'memory', 'ephemeral-storage'] || "
            "(key.contains('/') && !key.contains('kubernetes.io/') && key.size() <= 253))"
        ),
        "resources are cpu, memory, ephemeral-storage and devices such as nvidia.com/gpu",
    ),
    (
        "self.all(key, !key.contains('/') || type(self[key]) == int || quantity(self[key]).isInteger())",
        "devices are counted by whole numbers",
    ),
)
ResourceAmounts = Annotated[dict[LabelKey, Quantity], Field(max_length=32, json_schema_extra=_RESOURCE_NAMES)]
IMAGE = (
    r"^((\[[0-9a-fA-F:]+\]|[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?)(:[0-9]{1,5})?/)?"
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@[a-z0-9]+([+._-][a-z0-9]+)*:[0-9a-fA-F]{32,128})?$"
)
"""As the distribution project writes references; the kubelet refuses any other."""
ContainerName = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]


class EnvSource(ApiModel):
    """Where the value of an environment variable comes from."""

    model_config = configured(
        (
            "has(self.secretKeyRef) != has(self.configMapKeyRef)",
            "give exactly one of secretKeyRef and configMapKeyRef",
        )
    )

    secret_key_ref: KeyReference | None = Field(None, description="A key of a Secret in this namespace.")
    config_map_key_ref: KeyReference | None = Field(
        None, description="A key of a ConfigMap in this namespace."
    )


class EnvVar(ApiModel):
    """An extra environment variable of the agent's container."""

    model_config = configured(
        ("!(has(self.value) && has(self.valueFrom))", "give value or valueFrom, not both")
    )

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        description="Name of the variable, e.g. HTTPS_PROXY.",
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!self.lowerAscii().startsWith('sam2_agent_')",
                    "message": "variables SAM2_AGENT_* belong to the operator, set from other fields",
                }
            ]
        },
    )
    value: Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")] | None = Field(
        None, description="Value of the variable."
    )
    value_from: EnvSource | None = Field(
        None, description="Take the value from a Secret or ConfigMap instead."
    )


_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class ResourceClaimName(ApiModel):
    """A resource claim of the pod that the container uses."""

    name: ContainerName = Field(description="Name of an entry of spec.agent.resourceClaims.")
    request: ContainerName | None = Field(
        None, description="One request of the claim; all of them when unset."
    )


class Resources(ApiModel):
    """Compute resources of the agent's container."""

    model_config = configured(
        (
            (
                "!has(self.limits) || !has(self.requests) || self.requests.all(key, !(key in self.limits) || "
                "quantity(string(self.requests[key])).compareTo(quantity(string(self.limits[key]))) <= 0)"
            ),
            "a request must not be above its limit",
        ),
        (
            (
                "!has(self.requests) || self.requests.all(key, !key.contains('/') || (has(self.limits) && "
                "key in self.limits && "
                "quantity(string(self.requests[key])).compareTo(quantity(string(self.limits[key]))) == 0))"
            ),
            "devices cannot be shared: their requests are their limits, leave the requests out",
        ),
    )

    limits: ResourceAmounts | None = Field(
        None, description='Upper bounds, e.g. {"nvidia.com/gpu": 1} or {"nvidia.com/mig-1g.10gb": 1}.'
    )
    requests: ResourceAmounts | None = Field(None, description="What the scheduler reserves.")
    claims: Annotated[list[ResourceClaimName], Field(max_length=16)] | None = Field(
        None,
        description="Resource claims used, by the names given in spec.agent.resourceClaims.",
        json_schema_extra=_BY_NAME,
    )


class PodResourceClaim(ApiModel):
    """A device claimed by dynamic resource allocation."""

    model_config = configured(
        (
            "has(self.resourceClaimName) != has(self.resourceClaimTemplateName)",
            "give exactly one of resourceClaimName and resourceClaimTemplateName",
        )
    )

    name: ContainerName = Field(description="Name by which spec.agent.resources.claims refers to it.")
    resource_claim_name: ObjectName | None = Field(None, description="A ResourceClaim in this namespace.")
    resource_claim_template_name: ObjectName | None = Field(
        None,
        description="A ResourceClaimTemplate in this namespace, from which a claim is made for each pod.",
    )


OWN_LABELS = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "controller-revision-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
)
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
"""Annotations of old that Kubernetes still reads; it refuses other values in each pod that is made."""

_OWN_LABELS_CEL = "[" + ", ".join(f"'{label}'" for label in OWN_LABELS) + "]"


class AgentSpec(ApiModel):
    """The pod that runs SAM2 and serves the function's requests. There is exactly one."""

    model_config = configured(
        (
            (
                "!has(self.resources) || !has(self.resources.claims) || self.resources.claims.all(c, "
                "has(self.resourceClaims) && self.resourceClaims.exists(r, r.name == c.name))"
            ),
            "every name in resources.claims must be declared in resourceClaims",
        )
    )

    image: Annotated[str, Field(min_length=1, max_length=512, pattern=IMAGE)] | None = Field(
        None,
        description="Image of the agent. Default: the one the operator was installed with, of the same "
        "version.",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        None, description="When the kubelet pulls the image. Default: as Kubernetes decides from the tag."
    )
    image_pull_secrets: Annotated[list[LocalObjectReference], Field(max_length=8)] | None = Field(
        None,
        description="Secrets with credentials for the image's registry, in this namespace.",
        json_schema_extra=_BY_NAME,
    )
    resources: Resources | None = Field(
        None,
        description="Compute resources of the agent's container. Default: one nvidia.com/gpu with device "
        "cuda, nothing with device cpu. What is given here replaces the default as a whole, so that MIG "
        "slices, other vendors' devices and resource claims are possible. With device cpu, limits.cpu is "
        "also the number of threads (OMP_NUM_THREADS), unless env gives it.",
    )
    resource_claims: Annotated[list[PodResourceClaim], Field(max_length=16)] | None = Field(
        None,
        description="Devices claimed by dynamic resource allocation, used through resources.claims.",
        json_schema_extra=_BY_NAME,
    )
    node_selector: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] | None = Field(
        None, description="Labels that the agent's node must have."
    )
    tolerations: Annotated[list[Toleration], Field(max_length=32)] | None = Field(
        None, description="Taints that the agent's pod tolerates."
    )
    affinity: Affinity | None = Field(None, description="Finer rules about the agent's node.")
    runtime_class_name: ObjectName | None = Field(
        None, description='RuntimeClass of the pod, e.g. "nvidia" where GPUs need it.'
    )
    priority_class_name: ObjectName | None = Field(None, description="PriorityClass of the pod.")
    env: Annotated[list[EnvVar], Field(max_length=64)] | None = Field(
        None,
        description="Extra environment variables of the agent, e.g. HTTPS_PROXY and NO_PROXY. Variables "
        "SAM2_AGENT_* are the operator's.",
        json_schema_extra=_BY_NAME,
    )
    pod_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] | None = Field(
        None,
        description="Extra labels of the pod.",
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": f"self.all(key, !(key in {_OWN_LABELS_CEL}))",
                    "message": f"the labels {', '.join(OWN_LABELS)} belong to the operator and to Kubernetes",
                }
            ]
        },
    )
    pod_annotations: (
        Annotated[dict[LabelKey, Annotated[str, Field(max_length=4096)]], Field(max_length=32)] | None
    ) = Field(
        None,
        description="Extra annotations of the pod.",
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.all(key, !key.startsWith('sam2.dev/'))",
                    "message": "annotations sam2.dev/* belong to the operator",
                },
                {
                    "rule": f"self.all(key, !key.startsWith('{_APPARMOR}') || (key == '{_APPARMOR}agent' && "
                    "(self[key] == 'runtime/default' || self[key].startsWith('localhost/'))))",
                    "message": f"{_APPARMOR}* takes runtime/default or localhost/PROFILE, of the container "
                    "agent",
                },
            ]
        },
    )
    on_node_loss: Literal["Wait", "Replace"] = Field(
        "Wait",
        description="What happens when the agent's node stops answering. Wait: Kubernetes keeps the pod "
        "until the node is back or is deleted. Replace: the pod is removed by force and starts elsewhere; "
        "tracks go on, since the lease in Redis keeps the lost agent from changing anything. Not possible "
        "with a ReadWriteOnce cache.",
    )
