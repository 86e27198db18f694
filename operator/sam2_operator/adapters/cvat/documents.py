"""The parts of CVAT's answers that the operator reads; CVAT adds fields from time to time."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sam2_operator.core.observed import Function


class OwnerDocument(BaseModel):
    """An account."""

    model_config = ConfigDict(extra="ignore")
    id: int
    username: str


class FunctionDocument(BaseModel):
    """A function."""

    model_config = ConfigDict(extra="ignore")
    id: int
    provider: str
    name: str = ""
    kind: str = ""
    visibility: str = "private"
    supported_shape_types: list[str] = Field(default_factory=list)
    owner: OwnerDocument | None = None

    def function(self) -> Function:
        """Give it as the core knows it."""
        return Function(
            id=self.id,
            name=self.name,
            kind=self.kind,
            provider=self.provider,
            visibility=self.visibility,
            shape_types=tuple(self.supported_shape_types),
            owner_id=self.owner.id if self.owner else None,
        )


class FunctionPage(BaseModel):
    """A page of functions."""

    model_config = ConfigDict(extra="ignore")
    results: list[FunctionDocument]
    next: str | None = None


class OrganizationDocument(BaseModel):
    """An organization."""

    model_config = ConfigDict(extra="ignore")
    slug: str


class OrganizationPage(BaseModel):
    """A page of organizations."""

    model_config = ConfigDict(extra="ignore")
    results: list[OrganizationDocument]
