"""What a tracked frame costs, side by side in one run: SAM2's own loop, our step, and a whole request.

    make bench

All three track the same objects through the same synthetic video with the small model on the CPU. Only ratios
are worth quoting: the machine's speed is the same for all, and cancels. The small model needs a hundredth of
a real one's time, so its ratios show overhead at its worst; the milliseconds beyond the model are what a real
one would pay too.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sam2_agent.adapters.sam2_build import VolumeModel, build
from sam2_agent.adapters.sam2_tracker import Sam2Tracker
from sam2_agent.core.tracking import MEMORY_FRAMES, POINTER_FRAMES, Context, MaskPrompt, Remembered
from tests.cvat_standin.annotator import Annotator, Shape
from tests.cvat_standin.client import CVAT
from tests.cvat_standin.server import serving_in_thread
from tests.integration.agent.agent_process import AgentProcess
from tests.integration.cvat_standin.caller import Caller
from tests.redis_server import RedisServer
from tests.tiny_sam2 import CONFIG, WEIGHTS
from tests.tiny_sam2.model import build_predictor
from tests.tiny_sam2.synthetic_video import DIFFICULTIES, make_video

FRAMES = 48
OBJECTS = (1, 3, 8)
ROUNDS = 3
RESULTS = Path(__file__).parent / "results" / "frame_time.json"

Frames = NDArray[np.uint8]
Masks = Sequence[NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Row:
    """Medians over `ROUNDS` rounds: milliseconds a frame, and the ratios taken within each round."""

    objects: int
    sam2_own_loop_ms: float
    our_step_ms: float
    whole_request_ms: float
    step_ratio: float
    """Our step's time over SAM2's own."""
    request_ratio: float
    """A whole request's time, as the annotator waits for it, over SAM2's own."""


def main() -> None:
    """Measure, print a table and write `RESULTS`."""
    torch.set_num_threads(os.cpu_count() or 1)
    video = make_video(2_000_000, DIFFICULTIES["easy"], FRAMES, (240, 180))
    frames = video.frames
    masks = [video.mask(0, number) for number in range(1, video.num_objects + 1)]
    size = f"{frames.shape[2]}x{frames.shape[1]}"
    print(f"{FRAMES} frames of {size}, {platform.machine()}, {os.cpu_count()} cores")
    print(f"{'objects':>8} {'SAM2':>9} {'our step':>9} {'request':>9} {'step/SAM2':>10} {'request/SAM2':>13}")
    rows = []
    for objects in OBJECTS:
        prompts = [masks[number % len(masks)] for number in range(objects)]
        row = _row(frames, prompts)
        rows.append(row)
        print(
            f"{objects:>8} {row.sam2_own_loop_ms:>6.1f} ms {row.our_step_ms:>6.1f} ms "
            f"{row.whole_request_ms:>6.1f} ms {row.step_ratio:>10.2f} {row.request_ratio:>13.2f}",
            flush=True,
        )
    RESULTS.parent.mkdir(exist_ok=True)
    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
    RESULTS.write_text(
        json.dumps(
            {"date": time.strftime("%Y-%m-%d"), **machine, "rows": [asdict(row) for row in rows]}, indent=1
        )
        + "\n"
    )
    print(f"written: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


def _row(frames: Frames, prompts: Masks) -> Row:
    """Measure in turn, so that a slow moment of the machine falls on all three alike."""
    own, steps = _own_loop(frames, prompts), _our_steps(frames, prompts)
    with _whole_requests(frames, prompts) as request:
        rounds = [(own(), steps(), request()) for _ in range(ROUNDS + 1)][1:]  # the first warms up
    return Row(
        objects=len(prompts),
        sam2_own_loop_ms=median(sam2 for sam2, _, _ in rounds),
        our_step_ms=median(step for _, step, _ in rounds),
        whole_request_ms=median(whole for _, _, whole in rounds),
        step_ratio=median(step / sam2 for sam2, step, _ in rounds),
        request_ratio=median(whole / sam2 for sam2, _, whole in rounds),
    )


def _own_loop(frames: Frames, prompts: Masks) -> Callable[[], float]:
    """SAM2's own loop over the whole clip, loading of the video not counted."""
    predictor = build_predictor()

    def run() -> float:
        with (
            tempfile.TemporaryDirectory() as folder,
            Path(os.devnull).open("w") as void,
            redirect_stderr(void),
        ):
            for number, frame in enumerate(frames):
                Image.fromarray(frame).save(Path(folder, f"{number:05d}.jpg"), quality=95)
            state = predictor.init_state(folder)
            for number, mask in enumerate(prompts):
                predictor.add_new_mask(state, 0, number, mask)
            propagation = predictor.propagate_in_video(state)
            next(propagation)
            started = time.perf_counter()
            for _ in propagation:
                pass
            return 1000 * (time.perf_counter() - started) / (len(frames) - 1)

    return run


def _our_steps(frames: Frames, prompts: Masks) -> Callable[[], float]:
    """Our tracker alone: encode and step, no queue and no Redis."""
    tracker = Sam2Tracker(build(VolumeModel(CONFIG, WEIGHTS), torch.device("cpu")), "float32")

    def run() -> float:
        begun = tracker.prompt(tracker.encode(frames[0]), [MaskPrompt(mask) for mask in prompts])
        tracks: list[list[Remembered]] = [[output.remembered] for output in begun]
        started = time.perf_counter()
        for frame in frames[1:]:
            contexts = [_context(track) for track in tracks]
            for track, output in zip(tracks, tracker.step(tracker.encode(frame), contexts), strict=True):
                track.append(output.remembered)
        return 1000 * (time.perf_counter() - started) / (len(frames) - 1)

    return run


def _context(track: list[Remembered]) -> Context:
    index = len(track)
    recent = track[max(1, index - max(POINTER_FRAMES, MEMORY_FRAMES)) :]
    return Context(index=index, window=min(16, FRAMES), prompt=track[0], recent=tuple(recent))


@contextmanager
def _whole_requests(frames: Frames, prompts: Masks) -> Iterator[Callable[[], float]]:
    """The agent as a process with a real Redis (append-only file on), driven by the scripted annotator."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = RedisServer(folder, "--appendonly", "yes")
        redis.start()
        stack.callback(redis.kill)
        cvat = CVAT(stack.enter_context(serving_in_thread()))
        stack.callback(cvat.close)
        ann, robot = cvat.add_user("ann"), cvat.add_user("robot")
        task = cvat.add_task(list(frames), "ann", assignees=["robot"])
        function = Caller(cvat.url, robot.token).create_function(visibility="public")
        credentials = folder / "credentials"
        credentials.mkdir()
        (credentials / "token").write_text(robot.token)
        agent = AgentProcess(
            folder / "agent",
            {
                "CVAT_URL": cvat.url,
                "CVAT_CREDENTIALS_DIR": str(credentials),
                "FUNCTION_ID": str(function),
                "REDIS_URL": redis.url,
            },
        )
        agent.start()
        stack.callback(agent.kill)
        agent.wait_ready()
        shapes = [Shape.mask(mask) for mask in prompts]

        def run() -> float:
            with Annotator(cvat.url, ann.username, ann.password) as annotator:
                track = annotator.track(function, task, shapes, start=0, stop=len(frames) - 1)
            return median(frame.milliseconds for frame in track.frames[1:])

        yield run


if __name__ == "__main__":
    main()
