"""`spec`: what a user asks for. Field descriptions are the manual that `kubectl explain` shows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sam2_operator.api.base import ApiModel, configured, rules
from sam2_operator.api.model import ModelSpec
from sam2_operator.api.references import CABundle, LocalObjectReference, url_rules
from sam2_operator.api.state import StateSpec
from sam2_operator.api.workload import AgentSpec

ShapeType = Literal["mask", "polygon", "rectangle"]


class CvatSpec(ApiModel):
    """Which CVAT the tracker serves, how, and as whom."""

    model_config = configured(
        ("self.interface == oldSelf.interface", "interface cannot change: make a new tracker for the other"),
        (
            "has(self.url) == has(oldSelf.url) && (!has(self.url) || self.url == oldSelf.url)",
            "url cannot change: another CVAT is another tracker, make a new one",
        ),
        (
            "self.organization == oldSelf.organization",
            "organization cannot change: another organization is another tracker, make a new one",
        ),
        (
            "self.interface != 'Agent' || (has(self.url) && has(self.credentialsSecretRef))",
            (
                "interface Agent needs url and credentialsSecretRef: the function is registered in that "
                "CVAT, as that account"
            ),
        ),
        (
            (
                "self.interface != 'Serverless' || !(has(self.url) || has(self.credentialsSecretRef) || "
                "has(self.caBundle) || has(self.proxyUrl) || self.organization != '')"
            ),
            (
                "url, organization, credentialsSecretRef, caBundle and proxyUrl are for interface Agent: a "
                "serverless tracker never calls CVAT, which finds it by the gateway"
            ),
        ),
    )

    interface: Literal["Agent", "Serverless"] = Field(
        "Agent",
        description="How CVAT comes to the tracker. Agent: the function is registered in CVAT, and the agent "
        "takes requests from there; for CVAT Online and Enterprise. Serverless: CVAT calls it through the "
        "gateway that is installed with the operator, as it calls Nuclio's functions; for every CVAT. Cannot "
        "change.",
    )
    url: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        None,
        description="Address of CVAT as a browser would use it, e.g. https://app.cvat.ai. Needed with "
        "interface Agent. Cannot change.",
        json_schema_extra=url_rules(
            ("http", "https"), "put them into the Secret named by credentialsSecretRef"
        ),
    )
    organization: Annotated[str, Field(max_length=64, pattern=r"^[-a-zA-Z0-9_]*$")] = Field(
        "",
        description="Short name (slug) of the organization in CVAT that the function belongs to; empty is "
        "the account's personal workspace. Cannot change.",
    )
    credentials_secret_ref: LocalObjectReference | None = Field(
        None,
        description="Secret in this namespace with the account's credentials: either the key token (an "
        "access token of CVAT), or the keys username and password. The account must have access to the "
        "tasks that annotators track in. Needed with interface Agent.",
    )
    ca_bundle: CABundle | None = Field(
        None, description="Certificates that sign CVAT's own, if they are not publicly trusted."
    )
    proxy_url: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        None,
        description="HTTP proxy through which the operator and the agent reach this CVAT, e.g. "
        "http://proxy.example:3128; nothing else goes through it. Default: what HTTP_PROXY, HTTPS_PROXY and "
        "NO_PROXY say in the environment of each.",
        json_schema_extra=url_rules(
            ("http",),
            "a proxy that wants a login is set by HTTPS_PROXY, of agents in spec.agent.env from a Secret",
        ),
    )

    @property
    def root(self) -> str:
        """The URL without a slash at its end; empty with interface Serverless."""
        return (self.url or "").rstrip("/")


class FunctionSpec(ApiModel):
    """How the function appears in CVAT. CVAT's functions cannot be edited: a change here makes a new one."""

    name: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        None,
        description="Name that annotators see. Default: the name of the tracker.",
        # CVAT takes spaces around it away: a function would not be found by its name.
        json_schema_extra=rules(
            ("self == self.trim()", "must neither begin nor end with a space"),
            (r"!self.matches(r'[\x00-\x1f\x7f]')", "must not contain control characters"),
        ),
    )
    visibility: Literal["private", "public"] = Field(
        "private",
        description="Who may use the function: private is its owner (or organization), public is everyone. "
        "With interface Serverless it is everyone, as with all functions of that kind in CVAT.",
    )
    shape_types: Annotated[list[ShapeType], Field(min_length=1, max_length=3)] = Field(
        ["mask", "polygon", "rectangle"],
        description="Which shapes can be tracked. A rectangle is a box prompt, and what comes of it is the "
        "tight upright box around the object. CVAT's AI Tools dialog offers only functions with rectangle "
        "among them.",
        # Not of list type set: a server-side apply would add to the default instead of replacing it.
        json_schema_extra={
            "x-kubernetes-list-type": "atomic",
            **rules(("self.all(one, self.exists_one(other, other == one))", "name each shape once")),
        },
    )
    id: Annotated[int, Field(ge=1, le=2_147_483_647)] | None = Field(
        None,
        description="Serve this existing function of CVAT (kind tracker, provider native) instead of "
        "registering one. It is never deleted by the operator; name and visibility are then those it has.",
    )
    deletion_policy: Literal["Delete", "Retain"] = Field(
        "Delete",
        description="What happens to the function in CVAT when the tracker is deleted. A function given by "
        "id is always retained.",
    )


class TrackerSpec(ApiModel):
    """What is wanted: usually cvat.url, cvat.credentialsSecretRef and model.id; or interface and model.id."""

    model_config = configured(
        (
            (
                "self.agent.onNodeLoss != 'Replace' || !has(self.model.cache) || "
                "!has(self.model.cache.volumeClaimTemplate) || "
                "self.model.cache.volumeClaimTemplate.accessMode == 'ReadWriteMany'"
            ),
            (
                "agent.onNodeLoss Replace needs a model cache that two nodes can mount: make its accessMode "
                "ReadWriteMany, or leave the cache ephemeral"
            ),
        ),
        (
            "self.cvat.interface == 'Agent' || !has(self.function.id)",
            "function.id names a function that is served by agents: it is for cvat.interface Agent",
        ),
    )

    cvat: CvatSpec = Field(description="Which CVAT the tracker serves, how, and as whom.")
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
