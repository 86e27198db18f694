"""What an annotator reads when a request cannot be answered; the agent goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sam2_agent.core.patience import Patience
from tests.cvat_standin.annotator import RunError
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import LENGTH, World, drawn_shapes, picture

MASK = drawn_shapes()[0].to_json()


@pytest.fixture
def world_with_agent(world: World) -> World:
    world.new_toy().start().wait_ready()
    return world


def refusal(world: World, **parameters: object) -> str:
    """The sentence; afterwards the agent still answers."""
    with pytest.raises(RunError) as error:
        world.run(**parameters)
    assert world.begin()
    return str(error.value)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"shapes": [{**MASK, "points": [1.0, 2.0]}]}, "mask is damaged"),
        ({"shapes": [{"type": "ellipse", "points": [1.0, 2.0, 3.0, 4.0]}]}, "not ellipse"),
        ({"shapes": [MASK], "frame": LENGTH}, f"Task 1 has no frame {LENGTH}; its last is {LENGTH - 1}."),
        ({"shapes": [MASK] * 33}, "33 objects are too many"),
        ({"shapes": [{**MASK, "type": "rectangle", "points": [1, 2, 30, 40], "rotation": 20}]}, "rotated"),
    ],
)
def test_bad_shapes_and_frames(world_with_agent: World, parameters: dict[str, Any], words: str) -> None:
    record = world_with_agent.cvat.submit(
        world_with_agent.function,
        {"type": "init_tracking", "task": world_with_agent.task, "frame": 0, **parameters},
        "ann",
    )
    assert words in ended(world_with_agent, record.key)


@pytest.mark.parametrize("kind", ["annotate_task", "annotate_frame", "interact"])
def test_requests_of_other_kinds(world_with_agent: World, kind: str) -> None:
    world = world_with_agent
    record = world.cvat.submit(
        world.function, {"type": kind, "task": world.task, "frame": 0}, "ann", category="batch"
    )
    assert ended(world, record.key) == f"This function tracks objects; it cannot answer {kind} requests."


def ended(world: World, key: int) -> str:
    """The sentence that a request ended with."""
    record = world.cvat.wait_for_request(world.function, "failed")
    assert record.key == key
    assert world.cvat.count("POST /api/functions/queues/{id}/requests/{request_id}/fail") == 1
    return record.exc_info


def test_states_that_the_function_did_not_write(world_with_agent: World) -> None:
    for text in ("nonsense", "s2t1.{}", world_with_agent.begin()[0] + " "):
        sentence = refusal(world_with_agent, type="track", frame=1, states=[text])
        assert sentence == "A tracking state is not one that this function wrote; start tracking again."


def test_a_state_of_another_task(world_with_agent: World) -> None:
    world = world_with_agent
    other = world.cvat.add_task([picture(3)] * 4, "ann", assignees=["robot"])
    with world.annotator() as annotator, pytest.raises(RunError, match="belongs to another task"):
        annotator.run(world.function, {"type": "track", "task": other, "frame": 1, "states": world.begin()})


def test_a_state_forged_for_another_task_finds_nothing_of_the_first(world_with_agent: World) -> None:
    world = world_with_agent
    other = world.cvat.add_task([picture(frame) for frame in (9, 8, 7)], "ann", assignees=["robot"])
    honest = world.begin()[0]
    first = world.run(type="track", frame=1, states=[honest])["shapes"]
    with world.annotator() as annotator:
        forged = honest.replace(f'"task":{world.task}', f'"task":{other}')
        answer = annotator.run(
            world.function, {"type": "track", "task": other, "frame": 1, "states": [forged]}
        )
    assert answer["shapes"] != first
    assert world.run(type="track", frame=1, states=[honest])["shapes"] == first


REFUSED = {
    "another task": ('"task":1', '"task":2'),
    "no such task": ('"task":1', '"task":1.0'),
    "a huge task": ('"task":1', f'"task":{10**400}'),
    "an impossible size": ('"size":[120,90]', '"size":[120,99999]'),
    "an impossible window": ('"window":16', '"window":17'),
    "other casing": ('"shape":"mask"', '"shape":"Mask"'),
    "other casing of the nonce": ('"nonce":"', '"nonce":"A'),
    "other JSON": ('"window":16', '"window": 16'),
    "escaped JSON": ('"shape":"mask"', '"shape":"m\\u0061sk"'),
    "unicode digits": ('"window":16', '"window":\u0661\u0666'),
    "a frame that is no number": ('"tracked":[[1,4]]', '"tracked":[[1,NaN]]'),
    "an infinite frame": ('"tracked":[[1,4]]', '"tracked":[[1,1e400]]'),
    "a key twice": ('"task":1', '"task":1,"task":1'),
    "one more key": ('"task":1', '"more":0,"task":1'),
    "something behind": ("]]}", "]]} "),
    "a byte behind": ("]]}", "]]}\x00"),
    "runs that meet": ("[[1,4]]", "[[1,2],[3,4]]"),
    "a run that falls": ("[[1,4]]", "[[4,1]]"),
    "another version": ("s2t1.", "s2t2."),
    "another size": ('"size":[120,90]', '"size":[121,90]'),
    "a frame beyond the task": ('"tracked":[[1,4]]', '"tracked":[[1,24]]'),
    "a mask that does not fill its box": ('"mask":[', '"mask":[1,'),
}
OF_ITS_OWN = {
    "another window": ('"window":16', '"window":15'),
    "another shape type": ('"shape":"mask"', '"shape":"rectangle"'),
    "an edited prompt": ('"mask":[8,', '"mask":[0,8,'),
    "another first frame": ('"frame":0', '"frame":7'),
    "an edited frame": ("[[1,4]]", "[[1,3],[5,5]]"),
    "a longer list of frames": ("[[1,4]]", "[[1,9]]"),
}


def test_forged_states_neither_change_nor_reveal_a_track(world: World) -> None:
    """They are refused with one sentence, or begin tracks of their own; every record stands as it was."""
    world.new_toy().start().wait_ready()
    states, others = world.begin()[:1], world.begin()[:1]
    for frame in range(1, 5):
        states = world.run(type="track", frame=frame, states=states)["states"]
    answer = world.run(type="track", frame=5, states=states)
    written = answers(world)

    def forged(old: str, new: str) -> str:
        assert states[0].count(old) == 1, old
        return states[0].replace(old, new)

    for name, (old, new) in REFUSED.items():
        with pytest.raises(RunError) as error:
            world.run(type="track", frame=5, states=[forged(old, new)])
        assert str(error.value).endswith("."), name
        assert "internal" not in str(error.value), name
    for name, (old, new) in OF_ITS_OWN.items():
        own = world.run(type="track", frame=5, states=[forged(old, new)])
        assert own["states"] != answer["states"], name
        assert own["shapes"] != answer["shapes"], name
    # Another's nonce alone: the same prompt on the same frames, so the same shapes, computed for itself.
    own = world.run(type="track", frame=5, states=[forged(nonce(states[0]), nonce(others[0]))])
    assert own["states"] != answer["states"]
    assert own["shapes"] == answer["shapes"]
    assert world.run(type="track", frame=5, states=states) == answer
    assert written.items() <= answers(world).items()


def nonce(text: str) -> str:
    found: str = json.loads(text.removeprefix("s2t1."))["nonce"]
    return found


def answers(world: World) -> dict[bytes, object]:
    with world.redis.client() as client:
        return {key: client.get(key) for key in client.scan_iter(f"{PREFIX}answer:*")}


@pytest.mark.parametrize("tracked", ["[1,90000]", ",".join(["[0,23]"] * 4000)])
def test_a_state_that_claims_a_history_that_never_was(world: World, tracked: str) -> None:
    world.new_toy(patience=Patience(lease=3.0, poll=1.0, restore=0.5)).start().wait_ready()
    forged = world.begin()[0].replace('"tracked":[]', f'"tracked":[{tracked}]')
    sentence = refusal(world, type="track", frame=5, states=[forged])
    assert "names frames that the task does not have" in sentence or "restoring this track" in sentence


def test_a_frame_of_another_size(world: World) -> None:
    odd = world.cvat.add_task([picture(0), picture(1)[:60]], "ann", assignees=["robot"])
    world.new_toy().start().wait_ready()
    with world.annotator() as annotator:
        begun = {"type": "init_tracking", "task": odd, "frame": 0, "shapes": [MASK]}
        states = annotator.run(world.function, begun)["states"]
        with pytest.raises(
            RunError, match="Frame 1 is 120x60 pixels, but the track began on a frame of 120x90"
        ):
            annotator.run(world.function, {"type": "track", "task": odd, "frame": 1, "states": states})


def test_a_task_that_the_agents_account_may_not_see(world_with_agent: World) -> None:
    world = world_with_agent
    world.cvat.assign_task(world.task)
    with pytest.raises(RunError) as error:
        world.begin()
    assert str(error.value).startswith(
        f'The account "robot" of the tracking agent has no access to task {world.task};'
    )
    world.cvat.assign_task(world.task, "robot")
    assert world.begin()


def test_a_task_that_does_not_exist(world_with_agent: World) -> None:
    world = world_with_agent
    world.cvat.submit(
        world.function, {"type": "init_tracking", "task": 77, "frame": 0, "shapes": [MASK]}, "ann"
    )
    sentence = world.cvat.wait_for_request(world.function, "failed").exc_info
    assert sentence.startswith('The account "robot" of the tracking agent finds no')
