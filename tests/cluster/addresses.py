"""Which addresses the cluster takes: a small network that this machine has no other use for. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from tests.cluster.errors import ClusterError

POD_RANGE = IPv4Network("10.244.0.0/16")
SERVICE_RANGE = IPv4Network("10.96.0.0/16")
API_SERVICE = IPv4Address("10.96.0.1")
DNS_SERVICE = IPv4Address("10.96.0.10")

_CANDIDATES = tuple(IPv4Network("172.30.0.0/16").subnets(new_prefix=24))[::-1]


@dataclass(frozen=True)
class Plan:
    """The network of nodes and this machine; pods and Services have ranges that only nodes know."""

    network: IPv4Network

    @property
    def host(self) -> IPv4Address:
        """This machine's address in it, from which kubectl asks."""
        return self.network[1]

    def node(self, index: int) -> IPv4Address:
        return self.network[10 + index]

    @staticmethod
    def pods(index: int) -> IPv4Network:
        """The range from which a node's pods have their addresses."""
        return IPv4Network((int(POD_RANGE.network_address) + (index << 8), 24))


def choose(in_use: Iterable[IPv4Network]) -> Plan:
    """The first candidate that overlaps no network of this machine.

    Raises:
        ClusterError: all overlap.
    """
    used = [network for network in in_use if network.prefixlen]
    for candidate in _CANDIDATES:
        if not any(candidate.overlaps(network) for network in used):
            return Plan(candidate)
    raise ClusterError("no /24 of 172.30.0.0/16 is free on this machine: the nodes cannot be given addresses")
