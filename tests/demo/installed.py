"""The chart and a volume with the model, in a cluster for as long as they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.kubectl import Kubectl
from tests.cluster.progress import step
from tests.demo import install
from tests.demo.images import Images
from tests.demo.install import NAMESPACE
from tests.demo.privileged import remove_chaos
from tests.demo.target import keep


@contextmanager
def installed(
    kubectl: Kubectl, images: Images, *values: str, storage_class: str | None = None
) -> Iterator[None]:
    """Install the chart with these options of Helm; take all out again unless it is to be kept.

    The model lies on a volume of that class: where none is named, of the cluster's default one.
    """
    if install.is_present(kubectl):
        with step("remove what an earlier run left"):
            _remove(kubectl, crd=False)
    install.require_no_trackers(kubectl)
    had_crd = install.has_crd(kubectl)
    try:
        with step("helm install: operator, Redis" + (", gateway" if values else "")):
            install.install_chart(kubectl, images, *values)
        with step("the small model on a volume"):
            install.make_namespace(kubectl, NAMESPACE)
            install.put_model(kubectl, images, storage_class=storage_class)
        yield
    finally:
        if not keep():
            with step("remove the tracker, the chart, the namespaces"):
                _remove(kubectl, crd=not had_crd)


def _remove(kubectl: Kubectl, *, crd: bool) -> None:
    remove_chaos(kubectl, wait=False)
    install.remove(kubectl, crd=crd)
    remove_chaos(kubectl)
