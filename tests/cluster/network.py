"""Network namespaces for the nodes, joined by a bridge that lives in a namespace of its own.

Each namespace is held by a process that does nothing else. With the last process of a namespace go its
interfaces, its routes, its firewall rules and its mounts. Of this machine's own network only one interface is
ours, with one address; it goes with the bridge at its other end.
"""

import json
import shlex
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path

from tests.cluster import addresses
from tests.cluster.addresses import Plan
from tests.cluster.commands import run
from tests.cluster.errors import ClusterError
from tests.cluster.processes import Processes
from tests.cluster.waiting import wait_until

SWITCH = "switch"
PLAN = "network"


def plan(folder: Path) -> Plan:
    """The plan of the cluster in this folder, made when asked for the first time."""
    file = folder / PLAN
    if not file.exists():
        routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]))
        named = [route["dst"] for route in routes if route["dst"][0].isdigit()]
        file.write_text(str(addresses.choose(IPv4Network(name, strict=False) for name in named).network))
    return Plan(IPv4Network(file.read_text()))


def hold(processes: Processes, name: str, mounts: Mapping[Path, Path] | None = None) -> bool:
    """Start the process that holds the namespaces of that name; say whether they are new.

    Args:
        processes: where it is remembered.
        name: what it is remembered as.
        mounts: folders that are shown at other places, within the namespace only.
    """
    if processes.pid(name) is not None:
        return False
    # Mounts made inside stay inside, and are shared there, as the kubelet asks.
    steps = ["mount --make-rshared /"]
    for place, folder in (mounts or {}).items():
        for each in (place, folder):
            each.mkdir(parents=True, exist_ok=True)
        steps.append(f"mount --bind {shlex.quote(str(folder))} {shlex.quote(str(place))}")
    script = " && ".join([*steps, "exec sleep infinity"])
    processes.start(name, ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script])
    pid = processes.pid(name)
    if not wait_until(lambda: _program(pid) == "sleep", 10):
        raise ClusterError(f"no namespace could be made for {name}: {processes.tail(name)}")
    _inside(processes, name, "ip", "link", "set", "lo", "up")
    return True


def join_host(processes: Processes, network: Plan, interface: str) -> None:
    """Make the bridge, and this machine's interface to it, of that name."""
    if not hold(processes, SWITCH):
        return
    _inside(processes, SWITCH, "ip", "link", "add", "bridge", "type", "bridge")
    _inside(processes, SWITCH, "ip", "link", "set", "bridge", "up")
    _plug(processes, "host", interface)
    run(["ip", "address", "add", f"{network.host}/{network.network.prefixlen}", "dev", interface])
    run(["ip", "link", "set", interface, "up"])


def join_node(
    processes: Processes, network: Plan, index: int, mounts: Mapping[Path, Path], interface: str
) -> None:
    """Make a node's namespaces and its interface, which has that name until it is there.

    Services and pods are all that a node has routes to.
    """
    name = f"node-{index}"
    if not hold(processes, name, mounts):
        return
    _plug(processes, name, interface)
    run(["ip", "link", "set", interface, "netns", str(processes.pid(name)), "name", "eth0"])
    _inside(
        processes,
        name,
        "ip",
        "address",
        "add",
        f"{network.node(index)}/{network.network.prefixlen}",
        "dev",
        "eth0",
    )
    _inside(processes, name, "ip", "link", "set", "eth0", "up")
    # A process of the node must have a route to a Service before its firewall can send it to a pod.
    _inside(processes, name, "ip", "route", "add", str(addresses.SERVICE_RANGE), "dev", "eth0")
    _inside(processes, name, "sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1")


def route_pods(processes: Processes, network: Plan, count: int) -> None:
    """Tell each node where the pods of the others are."""
    for here in range(count):
        for there in set(range(count)) - {here}:
            route = (str(network.pods(there)), "via", str(network.node(there)))
            _inside(processes, f"node-{here}", "ip", "route", "replace", *route)


def _plug(processes: Processes, port: str, interface: str) -> None:
    """Make an interface here whose other end is a port of the bridge."""
    switch = str(processes.pid(SWITCH))
    run(["ip", "link", "add", interface, "type", "veth", "peer", "name", port, "netns", switch])
    _inside(processes, SWITCH, "ip", "link", "set", port, "master", "bridge", "up")


def _inside(processes: Processes, holder: str, *command: str) -> None:
    run([*processes.entry(holder), *command])


def _program(pid: int | None) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
