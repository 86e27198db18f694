"""The calls that CVAT makes to a Nuclio dashboard, and the same to an agent without one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self
from urllib.parse import unquote

import urllib3
from urllib3.util import make_headers, parse_url

from tests.cvat_standin.page import RunError

PROJECT = "cvat"


@dataclass(frozen=True, slots=True)
class Function:
    """A function as CVAT knows it; without `shape_types` it gets and gives rectangles as bare lists."""

    id: str
    name: str
    kind: str
    state: str
    shape_types: tuple[str, ...]
    description: str

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Function:
        """Read it as CVAT does, which raises `KeyError` for what it needs and does not find."""
        annotations = data["metadata"]["annotations"]
        labels = [label["name"] for label in json.loads(annotations.get("spec") or "[]")]
        if len(labels) != len(set(labels)):
            raise ValueError("labels of a function are unique")
        int(annotations.get("version", "1"))
        declared = annotations.get("supported_shape_types") or ""
        return cls(
            id=data["metadata"]["name"],
            name=annotations.get("name", data["metadata"]["name"]),
            kind=annotations.get("type"),
            state=data["status"]["state"],
            shape_types=tuple(each.strip() for each in declared.split(",") if each.strip()),
            description=data["spec"]["description"],
        )


class Functions(Protocol):
    """Where functions are found and called. All raise `RunError` as CVAT's page shows it."""

    def list(self) -> list[Function]:
        """All functions."""

    def get(self, name: str) -> Function:
        """One of them."""

    def invoke(self, name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """What it answers."""


class Dashboard:
    """A Nuclio dashboard, or who speaks like one; a login in the address is sent as CVAT sends it."""

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "nuclio",
        seconds: float = 120.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        address = parse_url(url)
        login = make_headers(basic_auth=unquote(address.auth)) if address.auth else {}
        self._url = address._replace(auth=None).url.rstrip("/")
        self._seconds = seconds
        self._headers = {
            "x-nuclio-project-name": PROJECT,
            "x-nuclio-function-namespace": namespace,
            "x-nuclio-invoke-via": "domain-name",
            "X-Nuclio-Invoke-Timeout": f"{seconds:g}s",
            **login,
            **(headers or {}),
        }

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """The one that CVAT is told of by its environment; raises `ValueError` where CVAT would not start."""
        scheme = environment.get("CVAT_NUCLIO_SCHEME", "http")
        host = environment.get("CVAT_NUCLIO_HOST", "localhost")
        return cls(f"{scheme}://{host}:{int(environment.get('CVAT_NUCLIO_PORT', '8070'))}")

    def list(self) -> list[Function]:
        """All functions, in whatever order they are told."""
        told = exchange("GET", f"{self._url}/api/functions", self._headers, self._seconds)
        return [Function.read(each) for each in told.values()]

    def get(self, name: str) -> Function:
        """One function."""
        return Function.read(
            exchange("GET", f"{self._url}/api/functions/{name}", self._headers, self._seconds)
        )

    def invoke(self, name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """What the function answers."""
        headers = {**self._headers, "x-nuclio-function-name": name, "x-nuclio-path": "/"}
        return exchange("POST", f"{self._url}/api/function_invocations", headers, self._seconds, payload)


class AgentDoor:
    """One agent's door, as the only function there is; `url` may change when another agent serves.

    Its failures have the agent's own words, which no annotator would see: CVAT shows status lines only, and
    the agent's sentence gets into one by the gateway.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        seconds: float = 120.0,
        shape_types: tuple[str, ...] = ("mask", "polygon", "rectangle"),
    ) -> None:
        self.url = url
        self._headers = {"X-SAM2-Door-Token": token} if token else {}
        self._seconds = seconds
        self._function = Function("agent", "Agent", "tracker", "ready", shape_types, "")

    def list(self) -> list[Function]:
        """The agent."""
        return [self._function]

    def get(self, name: str) -> Function:
        """The agent."""
        if name != self._function.id:
            raise RunError(f"There is no function {name}", 404)
        return self._function

    def invoke(self, name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """What the agent answers."""
        self.get(name)
        return exchange("POST", self.url, self._headers, self._seconds, payload, words=_body)


def exchange(
    method: str,
    url: str,
    headers: Mapping[str, str],
    seconds: float,
    body: Mapping[str, Any] | None = None,
    *,
    words: Callable[[str, urllib3.BaseHTTPResponse], str] | None = None,
) -> dict[str, Any]:
    """One call by a connection of its own; a failure is what CVAT makes of it, or has these `words`."""
    with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=seconds)) as pool:
        try:
            answer = pool.request(method, url, headers={**headers, "Connection": "close"}, json=body)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise RunError("The function did not answer in time", 504) from error
        except urllib3.exceptions.HTTPError as error:
            raise RunError("The function cannot be reached", 503) from error
    if answer.status >= 400:
        raise RunError((words or _status_line)(url, answer), answer.status)
    try:
        told = json.loads(answer.data)
    except ValueError as error:
        raise RunError("The function's answer is not JSON", 500) from error
    if not isinstance(told, dict):
        raise RunError("The function's answer is not a JSON object", 500)
    return told


def _status_line(url: str, answer: urllib3.BaseHTTPResponse) -> str:
    """What CVAT shows of a failed call: the words of requests' HTTPError, which knows nothing of the body."""
    whose = "Client" if answer.status < 500 else "Server"
    return f"{answer.status} {whose} Error: {answer.reason} for url: {url}"


def _body(_url: str, answer: urllib3.BaseHTTPResponse) -> str:
    return answer.data.decode(errors="replace").strip()
