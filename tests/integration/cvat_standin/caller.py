"""Plain HTTP callers, so that tests see answers as they are: a user, and an agent on a queue."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import urllib3


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    def json(self) -> Any:
        return json.loads(self.data)


class Caller:
    """A user of the API, by access token unless told otherwise. Never retries."""

    def __init__(self, url: str, token: str | None = None, **headers: str) -> None:
        self.url = url
        self._pool = urllib3.PoolManager(retries=False, timeout=20, maxsize=4)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._headers |= {name.replace("_", "-"): value for name, value in headers.items()}

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self._pool.request(method, self.url + path, json=body, headers={**self._headers, **more})
        return Answer(answer.status, answer.headers, answer.data)

    def create_function(self, name: str = "Tracker", **fields: object) -> int:
        made = self("POST", "/api/functions", tracker(name, **fields))
        assert made.status == 201, made
        return int(made.json()["id"])

    @contextmanager
    def stream(self, path: str) -> Iterator[Stream]:
        answer = self._pool.request("GET", self.url + path, headers=self._headers, preload_content=False)
        try:
            yield Stream(answer)
        finally:
            answer.close()


class Stream:
    """An open event stream."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self.content_type = answer.headers["Content-Type"]
        self._answer = answer
        self._rest = b""

    def line(self) -> str | None:
        """The next line; None at the end of the stream. Raises urllib3's errors when it is cut."""
        while b"\n" not in self._rest:
            chunk = self._answer.read1()
            if not chunk:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()


class Agent:
    """An agent on a function's queue."""

    def __init__(self, caller: Caller, function_id: int, agent_id: str = "agent_1") -> None:
        self._caller = caller
        self._queue = f"/api/functions/queues/function:{function_id}"
        self.agent_id = agent_id

    def acquire(self, category: str = "interactive") -> dict[str, Any] | None:
        answer = self._caller(
            "POST",
            f"{self._queue}/requests/acquire",
            {"agent_id": self.agent_id, "request_category": category},
        )
        assert answer.status == 200, answer
        assignment: dict[str, Any] | None = answer.json()["ar_assignment"]
        return assignment

    def report(self, request_id: str, what: str, **body: object) -> Answer:
        """Call update, complete or fail."""
        path = f"{self._queue}/requests/{request_id}/{what}"
        return self._caller("POST", path, {"agent_id": self.agent_id, **body})


class Asking:
    """A call of `run` that waits in a thread for its answer."""

    def __init__(self, caller: Caller, function_id: int, params: Mapping[str, object]) -> None:
        self._answers: list[Answer] = []
        self._thread = threading.Thread(
            target=lambda: self._answers.append(
                caller("POST", f"/api/functions/{function_id}/run", dict(params))
            ),
            daemon=True,
        )
        self._thread.start()

    def answer(self) -> Answer:
        self._thread.join(20)
        assert self._answers, "run was not answered"
        return self._answers[0]

    @property
    def waits(self) -> bool:
        return self._thread.is_alive()


def tracker(name: str = "Tracker", **fields: object) -> dict[str, object]:
    """The body that registers a tracking function."""
    return {
        "provider": "native",
        "name": name,
        "kind": "tracker",
        "supported_shape_types": ["mask", "polygon"],
        **fields,
    }
