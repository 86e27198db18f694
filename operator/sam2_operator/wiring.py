"""Puts the parts together: from settings to something that reconciles."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import kubernetes

from sam2_operator.adapters.agents import HttpAgents
from sam2_operator.adapters.clock import SystemClock
from sam2_operator.adapters.cvat.sdk import SdkCvat
from sam2_operator.adapters.key_file import LEAST_OF_DOOR_KEY, read_key
from sam2_operator.adapters.kube.answers import NotServedError
from sam2_operator.adapters.kube.api import KubeApi
from sam2_operator.adapters.kube.objects import Kube
from sam2_operator.adapters.statestore import Administrator, RedisStateStore
from sam2_operator.claims import Claims
from sam2_operator.core.gateway import Gateway
from sam2_operator.core.ledger import Ledger
from sam2_operator.core.placement import Defaults
from sam2_operator.errors import KubernetesError, StateStoreError
from sam2_operator.finalizer import Finalizer
from sam2_operator.reconcile import Reconciler
from sam2_operator.registrar import Registrar
from sam2_operator.reporter import Reporter
from sam2_operator.retirement import Retirement
from sam2_operator.sources import SourceReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sam2_operator.adapters.metrics import OperatorMetrics
    from sam2_operator.core.ports import Agents, Clock, Cvat, Kubernetes, Metrics, SecretReader, StateStore
    from sam2_operator.settings import Settings


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside, behind ports."""

    kube: Kubernetes
    secrets: SecretReader
    cvat: Cvat
    store: StateStore
    agents: Agents
    clock: Clock
    metrics: Metrics


def connect(threads: int) -> KubeApi:
    """Connect to the API server, with connections for so many threads.

    Raises:
        KubernetesError: there is none.
    """
    configuration = _access()
    configuration.connection_pool_maxsize = threads + 2
    return KubeApi.of(configuration, _access)


def _access() -> kubernetes.client.Configuration:
    """Read how to reach the API server: of the cluster that this runs in, or of the kubeconfig."""
    configuration = kubernetes.client.Configuration()
    try:
        kubernetes.config.load_incluster_config(configuration)
    except kubernetes.config.ConfigException:
        try:
            kubernetes.config.load_kube_config(client_configuration=configuration)
        except kubernetes.config.ConfigException as error:
            raise KubernetesError(f"There is no cluster to work for: {error}") from error
    return configuration


def outside(settings: Settings, api: KubeApi, metrics: OperatorMetrics) -> tuple[World, Kube]:
    """Give the real world."""
    clock = SystemClock()
    instance = "/".join(part for part in (settings.namespace, settings.instance) if part)
    kube = Kube(api, clock, settings.namespaces, instance)
    slots = max(1, settings.workers // 4)  # of three kinds that may hang: so some workers are always free
    store = RedisStateStore(_administrator(settings), slots=slots)
    cvat = SdkCvat(clock, slots=slots, count=metrics.cvat_asked)
    return World(kube, kube, cvat, store, HttpAgents(clock, slots=slots), clock, metrics), kube


def scopes(settings: Settings, kube: Kube) -> dict[str, Callable[[], list[tuple[str, str]]]]:
    """Give what lists the trackers of each namespace served, or of all under the empty name."""

    def listing(namespace: str) -> list[tuple[str, str]]:
        try:
            return kube.names(namespace)
        except NotServedError as error:
            raise KubernetesError(
                "The API server knows no SAM2Trackers: install the CustomResourceDefinition, kubectl apply "
                "--server-side -f crds/sam2trackers.yaml."
            ) from error

    return {namespace: partial(listing, namespace) for namespace in settings.namespaces or ("",)}


def swept(
    scopes: Mapping[str, Callable[[], list[tuple[str, str]]]], reconciler: Reconciler
) -> list[Callable[[], list[tuple[str, str]]]]:
    """Give what lists the trackers to reconcile: those there are, and those that the operator knows of.

    Of the end of one that it knows by listing alone nobody may ever tell; it is found by looking.
    """
    return [*scopes.values(), reconciler.registrar.ledger.keys]


def reconciler(settings: Settings, world: World, instance: str) -> Reconciler:
    """Give what reconciles trackers in that world."""
    ledger = Ledger()
    sources = SourceReader(world.secrets, world.store)
    registrar = Registrar(world.kube, world.clock, ledger, instance, world.metrics)
    reporter = Reporter(world.kube, world.clock, ledger)
    return Reconciler(
        kube=world.kube,
        cvat=world.cvat,
        store=world.store,
        agents=world.agents,
        clock=world.clock,
        sources=sources,
        registrar=registrar,
        finalizer=Finalizer(
            kube=world.kube,
            cvat=world.cvat,
            store=world.store,
            clock=world.clock,
            sources=sources,
            ledger=ledger,
            reporter=reporter,
            metrics=world.metrics,
            deadline=timedelta(seconds=settings.deletion_deadline_seconds),
            retirement=Retirement(world.clock, Claims(world.kube, ledger)),
        ),
        defaults=Defaults(
            settings.agent_image,
            settings.agent_image_pull_policy,
            settings.agent_image_pull_secrets,
            _gateway(settings),
        ),
        reporter=reporter,
    )


def _administrator(settings: Settings) -> Administrator | None:
    url = settings.redis_url if settings.redis_url_file is None else _content(settings.redis_url_file)
    if not url:
        return None
    return Administrator(
        url=url,
        password=lambda: _content(settings.redis_password_file),
        ca_pem=lambda: _content(settings.redis_ca_file),
        manages_users=settings.redis_manage_users,
    )


def _gateway(settings: Settings) -> Gateway | None:
    path = settings.door_key_file
    if path is None:
        return None
    labels = dict(each.split("=", 1) for each in settings.gateway_labels)
    return Gateway(settings.namespace, labels, lambda: read_key(path, LEAST_OF_DOOR_KEY))


def _content(path: Path | None) -> str | None:
    try:
        return None if path is None else path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise StateStoreError(
            f"The operator cannot read {path} ({error.strerror}): mount the Secret of its Redis."
        ) from error
