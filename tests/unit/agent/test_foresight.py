"""Working ahead: the next frame is computed before it is asked for, and nobody but the clock can tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sam2_agent.core.foresight import FEW, LATEST
from sam2_agent.errors import DeviceOutOfMemory
from tests.unit.agent.foresight_bench import FRAMES, OBJECTS, Bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


async def test_the_next_frame_is_computed_before_it_is_asked_for(bench: Bench) -> None:
    states = await bench.begin()
    for frame in (1, 2, 3):
        await bench.idle()
        assert bench.computed_on(frame) == OBJECTS
        calls = bench.calls
        states = (await bench.track(states, frame))["states"]
        assert bench.calls == calls, "an answer that was foreseen waits for no model"
    assert bench.metric("steps_foreseen") == 3 * OBJECTS


async def test_who_works_ahead_answers_as_one_who_does_not(bench: Bench) -> None:
    unhurried = Bench()
    unhurried.film.ends = True
    states = await bench.begin()
    assert states == await unhurried.begin()
    for frame in (1, 2, 3, 4, 7, 8, 9, 8, 7, 20, 21):
        await bench.idle()
        told = await bench.track(states, frame)
        assert told == await unhurried.track(states, frame)
        states = told["states"]
    assert bench.metric("steps_foreseen") > 0
    assert unhurried.metric("steps_foreseen") == 0


async def test_what_nobody_asked_for_is_published_nowhere(bench: Bench) -> None:
    states = await bench.begin()
    await bench.idle()
    assert len(bench.published()) == OBJECTS, "the prompts' steps"
    before = bench.published()
    await bench.track(states, 9)
    await bench.idle()
    assert len(bench.published() - before) == OBJECTS


async def test_frames_are_fetched_once_and_one_further(bench: Bench) -> None:
    states = await bench.begin()
    for frame in (1, 2, 3, 4, 7):
        await bench.idle()
        states = (await bench.track(states, frame))["states"]
    await bench.idle()
    assert bench.film.fetched == [0, 1, 2, 3, 4, 7, 8, 9], "deleted frames are passed over"


async def test_it_follows_an_annotator_who_goes_back(bench: Bench) -> None:
    states = await bench.begin(frame=20)
    for frame in (19, 18):
        states = (await bench.track(states, frame))["states"]
        await bench.idle()
    assert bench.computed_on(17) == OBJECTS


async def test_nothing_is_foreseen_beyond_the_last_frame(bench: Bench) -> None:
    states = await bench.begin(frame=FRAMES - 2)
    await bench.idle()
    await bench.track(states, FRAMES - 1)
    await bench.idle()
    assert bench.film.fetched == [FRAMES - 2, FRAMES - 1]


async def test_what_was_answered_before_is_not_computed_again(bench: Bench) -> None:
    states = await bench.begin()
    await bench.idle()
    first = await bench.track(states, 1)
    await bench.idle()
    await bench.track(first["states"], 2)
    await bench.idle()
    steps = bench.tracker.steps
    await bench.track(states, 1)
    await bench.idle()
    assert bench.tracker.steps == steps


async def test_a_request_that_comes_meanwhile_takes_what_is_done_and_computes_the_rest(bench: Bench) -> None:
    states = await bench.begin()
    bench.let = asyncio.Semaphore(2)  # the frame is encoded, and the first object found
    await bench.idle()
    asked = asyncio.ensure_future(bench.track(states, 1))
    await bench.idle()
    for _ in range(OBJECTS - 1):
        bench.let.release()
    await asked
    assert bench.computed_on(1) == OBJECTS
    assert bench.metric("steps_foreseen") == 2, "one that was done, and one that the model was at"


async def test_somebody_elses_request_goes_first(bench: Bench) -> None:
    states = await bench.begin()
    another = await bench.begin(frame=10, objects=8)
    await bench.idle()
    bench.let = asyncio.Semaphore(0)
    await bench.track(states, 1)  # foreseen, so that the model has all the time for frame 2
    await bench.idle()
    before = len(bench.tracker.worked_on)
    asked = asyncio.ensure_future(bench.track(another, 30))
    while not asked.done():
        bench.let.release()
        await bench.idle()
    assert bench.computed_on(30) == 8
    assert set(bench.tracker.worked_on[before + 1 : before + 9]) == {bench.digest(30)}, "after one in hand"


async def test_the_model_goes_on_while_an_answer_is_published(bench: Bench) -> None:
    another = await bench.begin(frame=10)
    await bench.idle()
    await bench.begin()
    published = bench.hold_publications()
    asked = asyncio.ensure_future(bench.track(another, 30))
    await bench.idle()
    assert bench.computed_on(30) == bench.computed_on(1) == OBJECTS
    assert not asked.done()
    published.set()
    await asked


async def test_guesses_that_were_overtaken_do_not_pile_up(bench: Bench) -> None:
    states = await bench.begin()
    with bench.spare.busy():  # by others, all the time
        for frame in range(10, 30):
            states = (await bench.track(states, frame))["states"]
        await bench.idle()
        assert len(asyncio.all_tasks()) <= 3, "this test's, a guess, and its frame"
    await bench.idle()
    assert bench.film.fetched[-1] == 31
    assert len(bench.film.fetched) == len(set(bench.film.fetched))


async def test_the_frame_after_the_next_is_encoded_where_few_are_tracked(bench: Bench) -> None:
    for begun in range(FEW + 1):
        frame = 10 + 4 * begun
        states = await bench.begin(frame)
        await bench.idle()
        assert (bench.digest(frame + 2) in bench.tracker.encoded_frames) == (begun < FEW)
    for further in range(frame + 1, frame + LATEST):  # the others are not heard of any more
        states = (await bench.track(states, further))["states"]
        await bench.idle()
    assert bench.digest(frame + LATEST + 1) in bench.tracker.encoded_frames


async def test_where_frames_come_slowly_the_next_is_fetched_when_one_is_asked_for(bench: Bench) -> None:
    """Else each frame would be fetched in an annotator's time who never pauses."""
    for begun in range(FEW + 1):
        frame = 10 + 4 * begun
        bench.film.at_once.set()
        states = await bench.begin(frame)
        bench.film.at_once.clear()
        await bench.idle()
        asked = asyncio.ensure_future(bench.track(states, frame + 1))
        await bench.idle()
        assert bench.film.fetched[-1] == frame + (2 if begun < FEW else 1)
        bench.film.at_once.set()
        await asked
        await bench.idle()


async def test_where_another_frame_is_asked_for_nothing_more_is_fetched_on_the_way_foreseen(
    bench: Bench,
) -> None:
    states = await bench.begin(10)
    bench.film.at_once.clear()
    await bench.idle()
    asked = asyncio.ensure_future(bench.track(states, 30))
    await bench.idle()
    assert bench.film.fetched == [10, 11, 30]
    bench.film.at_once.set()
    await asked


async def test_a_frame_that_cvat_did_not_serve_then_is_fetched_when_it_is_asked_for(bench: Bench) -> None:
    states = await bench.begin()
    bench.film.away = True
    await bench.idle()
    bench.film.away = False
    answer = await bench.track(states, 1)
    assert len(answer["states"]) == OBJECTS


async def test_a_full_device_is_told_to_nobody_who_did_not_ask(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    states = await bench.begin()
    writing = asyncio.ensure_future(bench.behind.run())
    bench.tracker.fails = DeviceOutOfMemory("The memory is full.")
    await bench.idle()
    assert "bug" not in caplog.text
    with pytest.raises(DeviceOutOfMemory):
        await bench.track(states, 1)
    bench.tracker.fails = None
    assert len((await bench.track(states, 1))["states"]) == OBJECTS
    writing.cancel()
