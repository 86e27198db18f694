"""Making users, organizations and tasks from their specs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice

from tests.cvat_standin.accounts import Organization, User
from tests.cvat_standin.control_models import OrganizationSpec, Seed, TaskSpec, UserSpec
from tests.cvat_standin.errors import not_found
from tests.cvat_standin.state import StandIn
from tests.cvat_standin.tasks import Frame, Task, read_archive


def plant(standin: StandIn, seed: Seed) -> None:
    """Make all that a seed names."""
    for user in seed.users:
        make_user(standin, user)
    for organization in seed.organizations:
        make_organization(standin, organization)


def make_user(standin: StandIn, spec: UserSpec) -> User:
    """A user, with a token if the spec has one."""
    now = standin.clock.date()
    user = standin.accounts.add_user(
        spec.username, now=now, password=spec.password, email=spec.email, superuser=spec.superuser
    )
    if spec.token is not None:
        standin.accounts.add_token(user, now=now, value=spec.token)
    return user


def make_organization(standin: StandIn, spec: OrganizationSpec) -> Organization:
    """An organization with its members. Raises `ApiError` 404 for a user that does not exist."""
    accounts = standin.accounts
    roles = {accounts.user_named(username).id: role for username, role in spec.members.items()}
    made = accounts.add_organization(spec.slug, accounts.user_named(spec.owner), now=standin.clock.date())
    made.roles.update(roles)
    return made


def find_organization(standin: StandIn, slug: str) -> Organization:
    """The organization of that slug. Raises `ApiError` 404."""
    found = standin.accounts.organization_named(slug)
    if found is None:
        raise not_found("Organization")
    return found


def make_task(standin: StandIn, spec: TaskSpec, archive: bytes) -> Task:
    """A task from the images of a zip archive. Raises `ApiError` 400 or 404 for what is wrong with them."""
    user_named = standin.accounts.user_named
    return standin.tasks.add(
        spec.name,
        _of_length(read_archive(archive), spec.length),
        owner=user_named(spec.owner),
        now=standin.clock.date(),
        organization=find_organization(standin, spec.organization) if spec.organization else None,
        assignees=[user_named(username) for username in spec.assignees],
        labels=spec.labels,
        deleted_frames=spec.deleted_frames,
        chunk_size=spec.chunk_size,
        job_size=spec.job_size,
        from_video=spec.from_video,
    )


def _of_length(images: Sequence[Frame], length: int | None) -> Sequence[Frame]:
    """So many frames, each with a name of its own; they share the images' bytes."""
    if length is None or not images:
        return images
    repeated = islice(cycle(images), length)
    return [replace(image, name=f"{number:07d}-{image.name}") for number, image in enumerate(repeated)]
