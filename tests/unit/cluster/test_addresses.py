from ipaddress import IPv4Network

import pytest

from tests.cluster.addresses import choose
from tests.cluster.errors import ClusterError


def test_a_network_that_this_machine_uses_is_not_chosen() -> None:
    first = choose([]).network
    assert not choose([first]).network.overlaps(first)


def test_a_default_route_is_no_use_of_a_network() -> None:
    assert choose([IPv4Network("0.0.0.0/0")]) == choose([])


def test_a_machine_that_uses_all_of_them_is_told_so() -> None:
    with pytest.raises(ClusterError, match=r"172\.30\.0\.0/16"):
        choose([IPv4Network("172.16.0.0/12")])


def test_nodes_and_their_pods_have_addresses_of_their_own() -> None:
    plan = choose([])
    assert len({plan.host, plan.node(0), plan.node(1)}) == 3
    assert not plan.pods(0).overlaps(plan.pods(1))
