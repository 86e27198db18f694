"""The function for Nuclio, by its documented contract: the same masks as an agent's, killed or doubled."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from PIL import Image

from sam2_agent.errors import InvalidSettings
from sam2_agent.nuclio import read_settings
from tests.cvat_standin.page import RunError
from tests.cvat_standin.serverless import AgentDoor, Annotator, Function, LambdaManager
from tests.cvat_standin.shapes import Shape
from tests.cvat_standin.waiting import wait_for
from tests.integration.agent.agent_process import AgentProcess
from tests.integration.agent.conftest import drawn_shapes, picture
from tests.ports import free_port
from tests.redis_server import RedisServer
from tests.tiny_sam2 import CONFIG, WEIGHTS

ROOT = Path(__file__).parents[3]
LAST = 8
SHAPES = [*drawn_shapes(), Shape.rectangle(85, 55, 107, 77)]
PASSWORD = "p@ss/word:1"

KVROCKS_HAS = {"auth", "get", "set", "pexpire", "del", "watch", "unwatch", "multi", "exec"}
"""What a function may send; Kvrocks' source registers a command of each of these names."""


class Worker:
    """A worker of the function, as a process."""

    def __init__(self, redis_port: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SAM2_AGENT_")},
            "SAM2_AGENT_MODEL_CONFIG": str(CONFIG),
            "SAM2_AGENT_MODEL_CHECKPOINT": str(WEIGHTS),
            "SAM2_AGENT_DEVICE": "cpu",
            "CVAT_FUNCTIONS_REDIS_HOST": "127.0.0.1",
            "CVAT_FUNCTIONS_REDIS_PORT": str(redis_port),
            "CVAT_FUNCTIONS_REDIS_PASSWORD": PASSWORD,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.nuclio_processor", "nuclio/main.py", str(self.port)]
        self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=subprocess.DEVNULL)

    def wait(self) -> None:
        """Wait until it answers."""

        def answers() -> bool:
            assert self._process.poll() is None
            try:
                urllib.request.urlopen(self.url, b"{", timeout=10)  # noqa: S310  (http, our own)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code == 400
            except OSError:
                return False
            return False

        wait_for(answers, "the function to answer", within=90)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis with a password, as CVAT's has."""
    server = RedisServer(tmp_path, "--requirepass", PASSWORD)
    server.start()
    with connected(server) as client:
        client.config_resetstat()
    yield server
    server.kill()


@pytest.fixture
def new_worker(kept: RedisServer) -> Iterator[Callable[[], Worker]]:
    workers: list[Worker] = []

    def new() -> Worker:
        workers.append(Worker(kept.port))
        return workers[-1]

    yield new
    for worker in workers:
        worker.kill()


def connected(server: RedisServer) -> redis.Redis:
    """The test's own client, which sends nothing but AUTH and what it is told to."""
    return redis.Redis(port=server.port, password=PASSWORD, protocol=2, driver_info=None)


def step(state: str) -> str:
    """The name of the step that a state names, as CVAT's server signed it."""
    name: str = json.loads(base64.urlsafe_b64decode(state.split(":", maxsplit=1)[0]))
    return name.removeprefix("s2ts1.")


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    def encoded(frame: int) -> bytes:
        file = io.BytesIO()
        Image.fromarray(picture(frame)).save(file, "PNG")
        return file.getvalue()

    return [encoded(frame) for frame in range(LAST + 1)]


@pytest.fixture
def expected(redis_server: RedisServer, tmp_path: Path, images: list[bytes]) -> list[Any]:
    """What an agent answers."""
    settings = {"INTERFACE": "serverless", "DOOR_PORT": "0", "REDIS_URL": redis_server.url}
    agent = AgentProcess(tmp_path / "agent", settings)
    agent.start()
    try:
        agent.wait_ready()
        annotator = Annotator(LambdaManager(AgentDoor(agent.door())))
        track = annotator.track("agent", images, SHAPES, start=0, stop=LAST)
    finally:
        agent.kill()
    return [frame.shapes for frame in track.frames]


def test_workers_killed_and_called_in_turn_give_an_agents_masks(
    new_worker: Callable[[], Worker], kept: RedisServer, images: list[bytes], expected: list[Any]
) -> None:
    workers = [new_worker(), new_worker()]
    for worker in workers:
        worker.wait()
    door = AgentDoor(workers[0].url)

    def next_worker(frame: Any) -> None:
        door.url = workers[frame.frame % 2].url
        if frame.frame == 3:
            for worker in workers:
                worker.kill()
                worker.start()
            for worker in workers:
                worker.wait()

    manager = LambdaManager(door)
    track = Annotator(manager).track("agent", images, SHAPES, start=0, stop=LAST, on_frame=next_worker)
    assert [frame.shapes for frame in track.frames] == expected
    begun = manager.call("agent", images[0], shapes=[SHAPES[0].to_json()])
    answers = []
    for worker in (*workers, *workers):
        door.url = worker.url
        answers.append(manager.call("agent", images[1], states=begun["states"]))
    assert all(answer["shapes"] == answers[0]["shapes"] for answer in answers)
    with connected(kept) as client:
        newest = answers[0]["states"][0]
        client.set(f"s2t:{{nuclio}}:answer:{step(newest)}", b"damaged")
        assert manager.call("agent", images[1], states=begun["states"])["shapes"] == answers[0]["shapes"]
        sent = {name.removeprefix("cmdstat_").partition("|")[0] for name in client.info("commandstats")}
    assert "watch" in sent, "a damaged answer was replaced"
    assert sent - {"config", "info"} <= KVROCKS_HAS


def test_what_cannot_be_answered_is_a_sentence(
    new_worker: Callable[[], Worker], kept: RedisServer, images: list[bytes]
) -> None:
    worker = new_worker()
    worker.wait()
    manager = LambdaManager(AgentDoor(worker.url))
    begun = manager.call("agent", images[0], shapes=[SHAPES[0].to_json()])
    for image, shapes, words in (
        (b"no image", [SHAPES[0].to_json()], "cannot be read as an image"),
        (images[0], [{"type": "skeleton", "points": []}], "not skeleton"),
        (images[0], [], "names no object"),
    ):
        with pytest.raises(RunError, match=words):
            manager.call("agent", image, shapes=shapes)
    with connected(kept) as client:
        client.flushall()
        found = manager.call("agent", images[1], states=begun["states"])  # this worker has it still
        worker.kill()
        worker.start()
        worker.wait()
        assert manager.call("agent", images[1], states=begun["states"])["shapes"] == found["shapes"]
        worker.kill()
        worker.start()
        worker.wait()
        client.flushall()
    with pytest.raises(RunError, match="draw the shape again and run"):
        manager.call("agent", images[1], states=[begun["states"][0]])
    kept.kill()
    with pytest.raises(RunError, match="Redis cannot be reached") as away:
        manager.call("agent", images[0], shapes=[SHAPES[0].to_json()])
    assert away.value.status == 503


def test_settings_are_those_that_cvat_gives_its_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SAM2_AGENT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SAM2_AGENT_MODEL_ID", "facebook/sam2.1-hiera-tiny")
    with pytest.raises(InvalidSettings, match="CVAT_FUNCTIONS_REDIS_HOST is not set"):
        read_settings()
    monkeypatch.setenv("CVAT_FUNCTIONS_REDIS_HOST", "cvat_redis_ondisk")
    monkeypatch.setenv("CVAT_FUNCTIONS_REDIS_PORT", "6666")
    assert read_settings().read_redis_url() == "redis://cvat_redis_ondisk:6666/0"
    monkeypatch.setenv("CVAT_FUNCTIONS_REDIS_PASSWORD", PASSWORD)
    secret = read_settings()
    assert secret.read_redis_url() == "redis://:p%40ss%2Fword%3A1@cvat_redis_ondisk:6666/0"
    assert PASSWORD not in repr(secret)
    for name in ("SAM2_AGENT_MODEL_IDD", "SAM2_AGENT_LEASE_SECONDS"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "1")
            with pytest.raises(InvalidSettings, match=f"Unknown settings: {name}"):
                read_settings()


@pytest.mark.parametrize("name", ["function.yaml", "function-gpu.yaml"])
def test_the_build_fetches_the_weights(name: str, tmp_path: Path) -> None:
    """The command itself is run, where a hub that has no model answers, or none: it names the right one."""
    spec = yaml.safe_load((ROOT / "nuclio" / name).read_text())["spec"]
    variables = {each["name"]: each["value"] for each in spec["env"]}
    [command] = [each["value"] for each in spec["build"]["directives"]["preCopy"] if each["kind"] == "RUN"]
    kept = variables["SAM2_AGENT_MODEL_CACHE_DIR"]
    assert kept in command
    built = subprocess.run(  # noqa: S602  (a file of ours)
        command.replace(kept, str(tmp_path)),
        shell=True,
        cwd=ROOT / "agent",
        env={**os.environ, "HF_ENDPOINT": "http://127.0.0.1:1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode != 0
    assert (
        f"The model {variables['SAM2_AGENT_MODEL_ID']} at revision main is not in the cache" in built.stderr
    )


@pytest.mark.parametrize("name", ["function.yaml", "function-gpu.yaml"])
def test_cvat_finds_in_the_function_what_it_reads(name: str) -> None:
    function = yaml.safe_load((ROOT / "nuclio" / name).read_text())
    read = Function.read({**function, "status": {"state": "ready"}})
    assert (read.kind, read.shape_types) == ("tracker", ("mask", "polygon", "rectangle"))
    spec = function["spec"]
    assert spec["handler"] == "main:handler"
    [trigger] = spec["triggers"].values()
    assert (trigger["kind"], trigger["maxWorkers"]) == ("http", 1)
    assert trigger["attributes"]["maxRequestBodySize"] == 2**27
    assert ("nvidia.com/gpu" in str(spec.get("resources"))) == ("gpu" in name)
    variables = {each["name"]: each["value"] for each in spec["env"]}
    assert variables["SAM2_AGENT_DEVICE"] == ("cuda" if "gpu" in name else "cpu")
