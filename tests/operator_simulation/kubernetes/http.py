"""The API server as the operator's client meets it: paths and verbs, JSON in and out, over the network."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sam2_operator.adapters.kube.answers import parsed
from sam2_operator.adapters.kube.api import APPLY, JSON, KubeApi
from sam2_operator.errors import KubernetesError
from tests.operator_simulation.kubernetes.store import ApiError, Key, Store
from tests.operator_simulation.network import BrokenError, Network, RefusedError

if TYPE_CHECKING:
    from sam2_operator.core.observed import Manifest

POD_GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client gets."""

    status: int
    data: bytes


@dataclass
class Server:
    """Answers requests from the store."""

    store: Store
    _events: itertools.count[int] = field(default_factory=itertools.count)

    def answer(self, verb: str, path: str, query: dict[str, str], kind: str, body: Any) -> Answer:
        """Do what is asked for, or say why not."""
        try:
            done = self._do(verb, path, query, kind, json.loads(json.dumps(body)))
        except ApiError as error:
            causes = [{"reason": error.cause}] if error.cause else []
            told = {"kind": "Status", "message": error.message, "details": {"causes": causes}}
            return Answer(error.status, json.dumps(told).encode())
        return Answer(200, done)

    def _do(self, verb: str, path: str, query: dict[str, str], kind: str, body: Any) -> bytes:
        store = self.store
        key, subresource = _parsed(path)
        if verb == "GET":
            return store.json(store.get(key)) if key[2] else self._list(key, query)
        if verb == "POST":
            name = body["metadata"].get("name") or f"{body['metadata']['generateName']}{next(self._events)}"
            if "dryRun" in query:
                store.check_namespace(key[1])
                return b"{}"
            return store.json(store.create((key[0], key[1], name), body))
        if verb == "PUT" and subresource == "status":
            return store.json(store.update_status(key, body))
        if verb == "PATCH":
            return store.json(store.apply(key, body) if kind == APPLY else store.update(key, body))
        if verb == "DELETE":
            body = body or {}
            grace = body.get("gracePeriodSeconds", POD_GRACE_SECONDS if key[0] == "pods" else 0.0)
            store.delete(key, body.get("preconditions", {}).get("uid"), grace=grace)
            return b"{}"
        raise ApiError(405, f"{verb} {path} is not served here")

    def _list(self, key: Key, query: dict[str, str]) -> bytes:
        items = self.store.all(key[0], key[1])
        for selector in query.get("fieldSelector", "").split(","):
            path, _, value = selector.partition("=")
            items = [each for each in items if not path or _at(each, path) == value]
        return b'{"items": [%s]}' % b", ".join(self.store.json(each) for each in items)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimApi(KubeApi):
    """The operator's own client, but for the wire."""

    server: Server
    network: Network
    writes: list[str]
    """Every request that is no read is noted here."""

    def call(
        self,
        verb: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = JSON,
        accept: str = JSON,  # noqa: ARG002 - it is always JSON
    ) -> Manifest:
        query = query or {}

        def effect() -> Answer:
            if verb != "GET" and "dryRun" not in query:
                self.writes.append(f"{verb} {path}")
            return self.server.answer(verb, path, query, content_type, body)

        try:
            answer = self.network.call("kubernetes", f"{verb} {path}", effect)
        except RefusedError as error:
            raise KubernetesError(f"The API server refused {verb} {path}: it is not ready") from error
        except BrokenError as error:
            raise KubernetesError(f"The API server did not answer {verb} {path}") from error
        return parsed(verb, path, answer.status, answer.data)


def _parsed(path: str) -> tuple[Key, str]:
    parts = [unquote(part) for part in path.strip("/").split("/")]
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    name, subresource = [*rest[1:], "", ""][:2]
    return (rest[0], namespace, name), subresource


def _at(live: Manifest, path: str) -> Any:
    value: Any = live
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
