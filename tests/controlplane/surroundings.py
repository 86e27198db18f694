"""What stands around an operator in tests: the CRD in the API server, a Redis as the chart installs it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from sam2_operator.settings import Settings
from tests.cvat_standin.client import wait_for
from tests.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.kubectl import Kubectl

REPOSITORY = Path(__file__).parents[2]
ADMIN_PASSWORD = "admin-password"


def apply_crd(kubectl: Kubectl) -> None:
    """Apply the CRD and wait until it is served."""
    for document in yaml.safe_load_all((REPOSITORY / "crds/sam2trackers.yaml").read_text()):
        kubectl.apply(document)
    listed = ("get", "--raw", "/apis/sam2.dev/v1alpha1/sam2trackers")
    wait_for(lambda: kubectl.run(*listed).returncode == 0, "SAM2Trackers to be served")


def installed(folder: Path) -> Settings:
    """The settings of an operator that is installed with a gateway."""
    key = folder / "door-key"
    key.write_text("the-key-of-the-doors-of-all-agents")
    return Settings(
        agent_image="sam2-tracker-agent:test",
        namespace="sam2-system",
        door_key_file=key,
        gateway_labels=("app.kubernetes.io/component=gateway",),
    )


@contextmanager
def redis_with_users(folder: Path) -> Iterator[RedisServer]:
    """A Redis as the chart installs it: users in a file, one of them the administrator."""
    users = folder / "users.acl"
    users.write_text(f"user default on nopass ~* &* +@all\nuser admin on >{ADMIN_PASSWORD} ~* &* +@all\n")
    server = RedisServer(folder, "--aclfile", str(users))
    server.start()
    try:
        yield server
    finally:
        server.kill()
