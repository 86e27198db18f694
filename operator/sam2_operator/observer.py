"""Looks at what there is of a tracker in Kubernetes, and asks its agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam2_operator.core import naming, pod_events
from sam2_operator.core.observed import Workload
from sam2_operator.core.plan import Children

if TYPE_CHECKING:
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.observed import Event
    from sam2_operator.core.ports import Agents, Kubernetes


@dataclass(frozen=True, slots=True)
class Observer:
    """The eyes of a reconcile; all methods raise `KubernetesError`."""

    kube: Kubernetes
    agents: Agents

    def children(self, tracker: Tracker, *, with_door: bool) -> Children:
        """Read the tracker's objects; those of its door only where there may be one."""
        namespace, name = tracker.metadata.namespace, tracker.metadata.name
        agent = naming.agent_name(name)
        return Children(
            service_account=self.kube.get("ServiceAccount", namespace, agent),
            network_policy=self.kube.get("NetworkPolicy", namespace, agent),
            state_secret=self.kube.get("Secret", namespace, naming.state_secret_name(name)),
            cache_claim=self.kube.get("PersistentVolumeClaim", namespace, naming.cache_claim_name(name)),
            workload=self._workload(tracker),
            door_service=self.kube.get("Service", namespace, naming.door_name(name)) if with_door else None,
            door_secret=(
                self.kube.get("Secret", namespace, naming.door_secret_name(name)) if with_door else None
            ),
        )

    def _workload(self, tracker: Tracker) -> Workload:
        namespace, name = tracker.metadata.namespace, tracker.metadata.name
        agent = naming.agent_name(name)
        stateful_set = self.kube.get("StatefulSet", namespace, agent)
        pod = self.kube.pod(namespace, naming.pod_name(name))
        report = self.agents.report(pod) if pod is not None and pod.running else None
        events: tuple[Event, ...] = ()
        if stateful_set is not None and not tracker.spec.suspend and pod_events.matter(pod, report):
            events = self.kube.events(namespace, "Pod", naming.pod_name(name))
            events += self.kube.events(namespace, "StatefulSet", agent) if pod is None else ()
        return Workload(stateful_set, pod, report, events)

    def cache_is_shared(self, tracker: Tracker) -> bool:
        """Whether two nodes can mount the tracker's volumes; asked only where it matters."""
        if tracker.spec.agent.on_node_loss != "Replace":
            return False
        model, namespace = tracker.spec.model, tracker.metadata.namespace
        names = [model.volume.claim_name] if model.volume is not None else []
        if model.cache is not None and model.cache.persistent_volume_claim is not None:
            names.append(model.cache.persistent_volume_claim.claim_name)
        claims = [self.kube.get("PersistentVolumeClaim", namespace, name) for name in names]
        shared = {"ReadWriteMany", "ReadOnlyMany"}
        return all(
            claim is not None and shared & set(claim["spec"].get("accessModes", [])) for claim in claims
        )
