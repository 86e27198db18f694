"""A CVAT that only a proxy reaches: the operator goes through it, and through no other."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.behind_proxy import no_proxies, proxy
from tests.controlplane import situations
from tests.controlplane.situations import Outcomes
from tests.cvat_standin.certificates import BEHIND_PROXY
from tests.cvat_standin.client import CVAT, wait_for
from tests.cvat_standin.fixtures import secure_cvat
from tests.http_proxy import HttpProxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.harness import Namespace, Operator

__all__ = ["no_proxies", "proxy", "secure_cvat"]

pytestmark = pytest.mark.controlplane


@pytest.fixture
def behind(secure_cvat: CVAT, namespace: Namespace, tmp_path: Path) -> str:
    """The URL of the CVAT; the namespace has an account and the certificates for it."""
    namespace.make_secret("cvat", token=secure_cvat.add_user("ann").token)
    namespace.make_secret("ca", **{"ca.crt": (tmp_path / "ca.pem").read_text()})
    return f"https://{BEHIND_PROXY}:{urlsplit(secure_cvat.url).port}"


CA = {"secretKeyRef": {"name": "ca", "key": "ca.crt"}}


def test_a_tracker_names_the_proxy_and_the_certificates_of_its_cvat(
    secure_cvat: CVAT, namespace: Namespace, operator: Operator, behind: str, proxy: HttpProxy
) -> None:
    namespace.apply_tracker(behind, cvat={"url": behind, "proxyUrl": proxy.url, "caBundle": CA})
    operator.settle(namespace.name)
    (function,) = secure_cvat.functions()
    assert namespace.status()["functionID"] == function.id
    assert set(proxy.asked) == {f"CONNECT {urlsplit(behind).netloc}"}
    (container,) = namespace.get("statefulset", "cars-agent")["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["SAM2_AGENT_CVAT_PROXY_URL"] == proxy.url
    namespace.delete("s2t", "cars", "--wait=false")
    wait_for(lambda: not operator.reconcile(namespace.name).exists, "the end")
    orphans = len(secure_cvat.functions())
    assert situations.add("a CVAT behind a proxy", Outcomes(converged=1 - orphans, orphans=orphans)).good


def test_another_trackers_proxy_is_not_used(
    secure_cvat: CVAT, namespace: Namespace, operator: Operator, behind: str, proxy: HttpProxy
) -> None:
    namespace.apply_tracker(behind, cvat={"url": behind, "proxyUrl": proxy.url, "caBundle": CA})
    operator.settle(namespace.name)
    asked = len(proxy.asked)
    namespace.apply_tracker(behind, "bikes", cvat={"url": behind, "caBundle": CA})
    operator.settle(namespace.name, "bikes")
    assert namespace.reason("bikes") == "CVATUnreachable"
    assert len(proxy.asked) == asked
    assert len(secure_cvat.functions()) == 1


@pytest.fixture
def demanding(proxy: HttpProxy) -> HttpProxy:
    """The same proxy, which asks for a login."""
    proxy.login = "operator:pass word"
    return proxy


def test_the_operators_environment_may_name_a_proxy_with_a_login(
    namespace: Namespace,
    operator: Operator,
    behind: str,
    demanding: HttpProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    namespace.apply_tracker(behind, cvat={"url": behind, "caBundle": CA})
    monkeypatch.setenv("HTTPS_PROXY", demanding.url.replace("//", "//operator:wrong@"))
    operator.settle(namespace.name)
    refused = namespace.condition("FunctionRegistered")
    assert refused["reason"] == "CVATUnreachable"
    assert "407" in refused["message"]
    assert "wrong" not in refused["message"]
    monkeypatch.setenv("HTTPS_PROXY", demanding.url.replace("//", "//operator:pass%20word@"))
    operator.world.cvat.close()
    operator.clock.advance(60)
    operator.settle(namespace.name)
    assert namespace.condition("FunctionRegistered")["status"] == "True"


def test_a_proxy_that_is_away_is_told_and_its_return_noticed(
    secure_cvat: CVAT, namespace: Namespace, operator: Operator, behind: str, proxy: HttpProxy
) -> None:
    namespace.apply_tracker(behind, cvat={"url": behind, "proxyUrl": "http://127.0.0.1:9", "caBundle": CA})
    operator.settle(namespace.name)
    told = namespace.condition("FunctionRegistered")
    assert told["reason"] == "CVATUnreachable"
    assert "proxies" in told["message"]
    namespace.patch("s2t", "cars", {"spec": {"cvat": {"proxyUrl": proxy.url}}})
    operator.settle(namespace.name)
    assert len(secure_cvat.functions()) == 1
    assert situations.add("a wrong proxy corrected", Outcomes(converged=1)).good


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://proxy.example:3128", "must be a URL that begins with http://"),
        ("http://me:secret@proxy.example:3128", "must not contain a user name or password"),
        ("proxy.example:3128", "must be a URL that begins with http://"),
        ("http://proxy.example:3128/?x=1", "must have neither a query"),
    ],
)
def test_what_is_no_proxy_is_refused(namespace: Namespace, url: str, sentence: str) -> None:
    with pytest.raises(Exception, match=sentence.replace("(", r"\(")):
        namespace.apply_tracker("http://cvat.example", cvat={"proxyUrl": url})
