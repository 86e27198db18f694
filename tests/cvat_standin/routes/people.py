"""`/api/users`, `/api/organizations` and `/api/server`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.cvat_standin.identity import identify
from tests.cvat_standin.listing import Fields, answer_list
from tests.cvat_standin.replies import Reply, base_url, standin
from tests.cvat_standin.representations import full_user, organization
from tests.cvat_standin.wire import OrganizationBody, parse

VERSION = "2.72.0"

_ORGANIZATION_FIELDS: Fields = {
    "id": lambda item: item["id"],
    "name": lambda item: item["name"],
    "slug": lambda item: item["slug"],
    "owner": lambda item: item["owner"]["username"],
}


async def about(_request: Request) -> Response:
    """Name and version; needs no authentication."""
    return Reply(
        {
            "name": "Computer Vision Annotation Tool",
            "description": "A stand-in for CVAT's functions API, for tests.",
            "version": VERSION,
            "logo_url": "",
            "subtitle": "",
        }
    )


async def retrieve_self(request: Request) -> Response:
    """Who asks."""
    return Reply(full_user(identify(request).user, base_url(request)))


async def list_organizations(request: Request) -> Response:
    """The organizations that the user is in; a superuser sees all."""
    user = identify(request).user
    base = base_url(request)
    items = [
        organization(item, base)
        for item in standin(request).accounts.organizations.values()
        if user.superuser or user.id in item.roles
    ]
    for name in ("slug", "name", "owner"):
        if (wanted := request.query_params.get(name)) is not None:
            items = [item for item in items if _ORGANIZATION_FIELDS[name](item) == wanted]
    return Reply(
        answer_list(
            items,
            request.query_params,
            f"{base}/api/organizations",
            fields=_ORGANIZATION_FIELDS,
            searched=("name", "owner", "slug"),
        )
    )


async def create_organization(request: Request) -> Response:
    """A new organization of the user."""
    viewer = identify(request)
    body = parse(OrganizationBody, await request.body())
    state = standin(request)
    made = state.accounts.add_organization(
        body.slug, viewer.user, now=state.clock.date(), name=body.name, description=body.description
    )
    return Reply(organization(made, base_url(request)), 201)


ROUTES = [
    Route("/api/server/about", about, methods=["GET"]),
    Route("/api/users/self", retrieve_self, methods=["GET"]),
    Route("/api/organizations", list_organizations, methods=["GET"]),
    Route("/api/organizations", create_organization, methods=["POST"]),
]
