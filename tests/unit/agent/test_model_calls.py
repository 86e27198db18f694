"""A model in another process answers like one that is here, and keeps nothing that nobody needs."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from sam2_agent.adapters.model_calls import Line, Ready
from sam2_agent.adapters.model_channel import channel
from sam2_agent.adapters.model_server import ModelServer
from sam2_agent.adapters.model_tracker import ModelTracker
from sam2_agent.core.tracking import (
    BoxPrompt,
    Context,
    Features,
    MaskPrompt,
    Remembered,
    Resized,
    ShapeType,
    Tracker,
)
from sam2_agent.errors import AgentError, DamagedRecord, DeviceLost, DeviceOutOfMemory, ModelEnded
from tests.toy_tracker import ToyOutput, ToyTracker

WIDTH, HEIGHT, SIDE = 64, 48, 32
FRAMES = 20
DRAWN = (MaskPrompt(np.eye(HEIGHT, WIDTH, dtype=np.bool_)), BoxPrompt((1.0, 2.0, 20.0, 9.5)))
SECONDS = 20.0


class Model(ToyTracker):
    """Takes one object at a time; fails, or waits, when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_size = 1
        self.fails: Exception | None = None
        self.on_step: Callable[[], object] = lambda: None
        self.go_on = threading.Event()
        self.go_on.set()
        self.stepping = threading.Event()

    def step(self, features: Features, contexts: Sequence[Context]) -> list[ToyOutput]:
        if self.fails:
            raise self.fails
        self.on_step()
        self.stepping.set()
        assert self.go_on.wait(SECONDS)
        return super().step(features, contexts)


class Remote:
    """A tracker whose model answers from another thread, as it would from another process."""

    def __init__(self) -> None:
        self.model = Model()
        self.server = ModelServer(self.model)
        ours, model = channel()
        ours_apart, apart = channel()
        self._ours, self._theirs = (ours, ours_apart), (model, apart)
        self._threads = [threading.Thread(target=self.server.serve, args=(line,)) for line in (model, apart)]
        for thread in self._threads:
            thread.start()
        ready = Ready(self.model.fingerprint, self.model.batch_size, SIDE)
        self.tracker = ModelTracker(ready, Line(ours, _ended), Line(ours_apart, _ended))

    def close(self) -> None:
        self.model.go_on.set()
        for end in self._ours:
            end.close()
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive(), "who is left alone ends"
        for end in self._theirs:
            end.close()


def _ended() -> AgentError:
    return ModelEnded("It has gone.")


@pytest.fixture
def remote() -> Iterator[Remote]:
    remote = Remote()
    yield remote
    remote.close()


def encoded(tracker: Tracker, frame: int) -> Features:
    pixels = np.random.default_rng(frame).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    return tracker.encode(Resized((WIDTH, HEIGHT), pixels))


def begun(tracker: Tracker) -> list[Remembered]:
    return [output.remembered for output in tracker.prompt(encoded(tracker, 0), DRAWN)]


def context(frame: int, records: Sequence[Remembered], shape: ShapeType = "mask") -> Context:
    recent = (
        Remembered(each.index, each.pointer, each.score, each.memory if each.index >= frame - 6 else None)
        for each in records[1:][-15:]
    )
    return Context(frame, 16, records[0], tuple(recent), shape)


def told(tracker: Tracker) -> list[object]:
    """All that is told of two objects, one of them a polygon, on some frames."""
    tracks = [[record] for record in begun(tracker)]
    found: list[object] = []
    for frame in range(1, FRAMES):
        contexts = [context(frame, tracks[0]), context(frame, tracks[1], "polygon")]
        for records, output in zip(tracks, tracker.step(encoded(tracker, frame), contexts), strict=True):
            record = output.remembered
            assert record.memory is not None
            found.append((output.points, record.index, record.pointer.tobytes(), record.score))
            found.append(tracker.dump_memory(record.memory))
            records.append(record)
    return found


def test_a_remote_model_answers_as_one_that_is_here(remote: Remote) -> None:
    assert told(remote.tracker) == told(ToyTracker())


def test_what_nobody_needs_any_more_is_not_kept(remote: Remote) -> None:
    frame = encoded(remote.tracker, 0)
    outputs = remote.tracker.prompt(frame, DRAWN)
    assert remote.server.held == 1 + len(DRAWN)
    kept = outputs[0].remembered
    del outputs, frame
    another = encoded(remote.tracker, 1)
    assert remote.server.held == 2, "the memory that is kept, and the new frame"
    remote.tracker.step(another, [context(1, [kept])])
    encoded(remote.tracker, 2)
    assert remote.server.held == 3, "besides, the newest frame"


def test_memory_that_was_dumped_is_loaded_again(remote: Remote) -> None:
    [record, _] = begun(remote.tracker)
    assert record.memory is not None
    data = remote.tracker.dump_memory(record.memory)
    loaded = Remembered(0, record.pointer, record.score, remote.tracker.load_memory(data))
    frame = encoded(remote.tracker, 1)
    [expected] = remote.tracker.step(frame, [context(1, [record])])
    [found] = remote.tracker.step(frame, [context(1, [loaded])])
    assert found.points == expected.points


def test_damaged_memory_is_refused_here_with_what_happened_there(remote: Remote) -> None:
    with pytest.raises(DamagedRecord, match="Not a toy's memory") as refused:
        remote.tracker.load_memory(b"damaged")
    assert "toy_tracker.py" in str(refused.value.__cause__)


@pytest.mark.parametrize("failure", [DeviceOutOfMemory("Full."), DeviceLost("Lost.")])
def test_a_device_that_fails_is_told_as_such_and_the_model_answers_on(
    remote: Remote, failure: AgentError
) -> None:
    records = begun(remote.tracker)
    frame = encoded(remote.tracker, 1)
    remote.model.fails = failure
    with pytest.raises(type(failure), match=str(failure)):
        remote.tracker.step(frame, [context(1, records[:1])])
    remote.model.fails = None
    assert len(remote.tracker.step(frame, [context(1, records[:1])])) == 1


def test_what_a_failed_call_took_is_free_when_the_next_one_comes(remote: Remote) -> None:
    records = begun(remote.tracker)
    frame = encoded(remote.tracker, 1)
    taken: list[weakref.ref[Taken]] = []
    remote.model.on_step = lambda: _fail_with_memory(taken)
    with pytest.raises(DeviceOutOfMemory):
        remote.tracker.step(frame, [context(1, records[:1])])
    free: list[bool] = []
    remote.model.on_step = lambda: free.append(taken[0]() is None)
    remote.tracker.step(frame, [context(1, records[:1])])
    assert free == [True]


class Taken:
    """Memory of a device."""


def _fail_with_memory(taken: list[weakref.ref[Taken]]) -> None:
    memory = Taken()
    taken.append(weakref.ref(memory))
    raise DeviceOutOfMemory("Full.")


def test_a_bug_is_told_with_its_place(remote: Remote) -> None:
    remote.model.fails = KeyError("missing")
    with pytest.raises(RuntimeError, match="KeyError: 'missing'") as bug:
        remote.tracker.step(encoded(remote.tracker, 1), [context(1, begun(remote.tracker)[:1])])
    assert "in step" in str(bug.value.__cause__)


def test_memories_are_dumped_while_the_model_computes(remote: Remote) -> None:
    [record, _] = begun(remote.tracker)
    assert record.memory is not None
    frame = encoded(remote.tracker, 1)
    remote.model.go_on.clear()
    stepping = threading.Thread(target=lambda: remote.tracker.step(frame, [context(1, [record])]))
    stepping.start()
    assert remote.model.stepping.wait(SECONDS)
    assert remote.tracker.dump_memory(record.memory)
    assert stepping.is_alive()
    remote.model.go_on.set()
    stepping.join(SECONDS)


def test_what_another_model_gave_is_refused(remote: Remote) -> None:
    foreign = begun(ToyTracker())
    with pytest.raises(TypeError, match="ToyMemory"):
        remote.tracker.step(encoded(remote.tracker, 1), [context(1, foreign[:1])])


def test_a_model_that_has_gone_is_told_by_how_it_ended() -> None:
    ours, model = channel()
    line = Line(ours, _ended)
    tracker = ModelTracker(Ready("toy", 1, SIDE), line, line)
    model.close()
    for _ in range(2):
        with pytest.raises(ModelEnded, match="It has gone"):
            encoded(tracker, 0)
    ours.close()
