"""What a URL of Redis that a user wrote may be, and still end in a sentence."""

from __future__ import annotations

import pytest

from sam2_operator.adapters.redis_clients import RedisClients
from sam2_operator.core.observed import StateAccess
from sam2_operator.errors import StateStoreError


@pytest.mark.parametrize("host", ["redis..lab", "a" * 64 + ".lab"])
def test_a_host_that_the_dns_has_no_form_for_is_told_as_such(host: str) -> None:
    clients = RedisClients()
    with (
        pytest.raises(StateStoreError, match="correct the URL"),
        clients.looking_at(StateAccess(f"redis://user:secret@{host}:6379/0")) as client,
    ):
        client.ping()
