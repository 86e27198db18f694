"""An annotator of a CVAT without agents: the stand-in's serverless side, straight at the agent's door."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.cvat_standin.page import RunError
from tests.cvat_standin.serverless import AgentDoor, Annotator, LambdaManager
from tests.cvat_standin.shapes import Shape
from tests.integration.agent.agent_process import PREFIX, AgentProcess
from tests.integration.agent.conftest import LENGTH, disk, disk_bitmap, drawn_shapes, picture, square
from tests.redis_server import RedisServer

BOX = Shape.rectangle(85, 55, 107, 77)


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    def encoded(frame: int) -> bytes:
        file = io.BytesIO()
        Image.fromarray(picture(frame)).save(file, "PNG")
        return file.getvalue()

    return [encoded(frame) for frame in range(LENGTH)]


@pytest.fixture
def agent(redis_server: RedisServer, tmp_path: Path) -> Iterator[AgentProcess]:
    token = tmp_path / "token"
    token.write_text("secret\n")
    settings = {
        "INTERFACE": "serverless",
        "DOOR_PORT": "0",
        "DOOR_TOKEN_FILE": str(token),
        "REDIS_URL": redis_server.url,
    }
    process = AgentProcess(tmp_path / "agent", settings)
    process.start()
    process.wait_ready()
    yield process
    process.kill()


def test_masks_polygons_and_rectangles_follow_their_objects(agent: AgentProcess, images: list[bytes]) -> None:
    manager = LambdaManager(AgentDoor(agent.door(), token="secret"))
    [tracker] = manager.trackers()
    shapes = [*drawn_shapes(), BOX]
    track = Annotator(manager).track(tracker.id, images, shapes, start=0, stop=12)

    mask, polygon, other, box = [shape for shape in track.frames[-1].shapes if shape]
    expected = disk_bitmap(12)
    found = mask.bitmap(*expected.shape)
    assert (found & expected).sum() / (found | expected).sum() > 0.8
    assert (polygon.type, other.type, box.type) == ("polygon", "mask", "rectangle")
    left, top, side = square(12)
    for told, wanted in zip(box.points, (left, top, left + side, top + side), strict=True):
        assert abs(told - wanted) <= 3
    assert agent.metric("sam2_agent_steps_computed_total") == 4 * 13


def test_an_old_cvat_tracks_bare_rectangles(agent: AgentProcess, images: list[bytes]) -> None:
    manager = LambdaManager(AgentDoor(agent.door(), token="secret", shape_types=()))
    x, y, radius = disk(0)
    drawn = [Shape.rectangle(x - radius, y - radius, x + radius, y + radius), BOX]
    track = Annotator(manager).track("agent", images, drawn, start=0, stop=8)
    for found in track.frames[-1].shapes:
        assert found is not None
        assert len(found.points) == 4
    left, _, _, _ = track.frames[-1].shapes[0].points  # type: ignore[union-attr]
    assert abs(left - (disk(8)[0] - radius)) <= 3


def lost_track(manager: LambdaManager, agent: AgentProcess, server: RedisServer, image: bytes) -> list[str]:
    """The states of a track that was begun, and that Redis lost while the agent was away."""
    states: list[str] = manager.call("agent", image, shapes=[BOX.to_json()])["states"]
    agent.kill()
    with server.client() as client:
        for key in client.scan_iter(f"{PREFIX}memory:*"):
            client.delete(key)
    agent.start()
    agent.wait_ready()
    manager._functions.url = agent.door()  # type: ignore[attr-defined]
    return states


def test_what_redis_lost_is_told_in_a_sentence(
    agent: AgentProcess, images: list[bytes], redis_server: RedisServer
) -> None:
    manager = LambdaManager(AgentDoor(agent.door(), token="secret"))
    states = lost_track(manager, agent, redis_server, images[0])
    with pytest.raises(RunError, match="draw the shape again and run") as lost:
        manager.call("agent", images[1], states=states)
    assert lost.value.status == 400
    again = manager.call("agent", images[1], shapes=[BOX.to_json()])
    assert manager.call("agent", images[2], states=again["states"])["shapes"][0]


def test_an_admin_sees_how_many_calls_a_loss_cost(
    agent: AgentProcess, images: list[bytes], redis_server: RedisServer
) -> None:
    def counted() -> list[str]:
        lines = agent.get("/metrics").decode().splitlines()
        return [line for line in lines if line.startswith("sam2_agent_tracks_lost_total")]

    manager = LambdaManager(AgentDoor(agent.door(), token="secret"))
    states = lost_track(manager, agent, redis_server, images[0])
    with pytest.raises(RunError, match="cannot be read as an image"):
        manager.call("agent", b"no image", shapes=[BOX.to_json()])
    assert counted() == ["sam2_agent_tracks_lost_total 0.0"]
    for image in images[1:3]:
        with pytest.raises(RunError, match="draw the shape again and run"):
            manager.call("agent", image, states=states)
    again = manager.call("agent", images[1], shapes=[BOX.to_json()])
    assert manager.call("agent", images[2], states=again["states"])["shapes"][0]
    assert counted() == ["sam2_agent_tracks_lost_total 2.0"]


def test_probes_and_status_say_of_it_what_they_say_of_others(
    agent: AgentProcess, images: list[bytes]
) -> None:
    for path in ("/livez", "/startupz", "/readyz"):
        assert agent.get(path).startswith(b"Serving")
    status = agent.status()
    assert (status["ready"], status["reason"], status["leaseHeld"]) == (True, "Serving", True)
    assert status["cvatAnsweredSecondsAgo"] is None
    manager = LambdaManager(AgentDoor(agent.door(), token="secret"))
    manager.call("agent", images[0], shapes=[BOX.to_json()])
    with pytest.raises(RunError):
        manager.call("agent", b"no image", shapes=[BOX.to_json()])
    metrics = agent.get("/metrics").decode()
    assert 'sam2_agent_request_seconds_count{outcome="completed",type="call"} 1.0' in metrics
    assert 'sam2_agent_request_seconds_count{outcome="failed",type="call"} 1.0' in metrics
    assert agent.metric("sam2_agent_ready") == 1
