"""`python -m tests.demo [serverless]`: the demo from the cluster to the pictures.

`make demo` runs it for a CVAT with agents, `make demo-serverless` for one without.

Environment: KEEP=1 leaves everything running in the end; SAM2_TRACKER_KUBECONFIG names a cluster to use
instead of a local one, IMAGE_REGISTRY then where the images are pushed.
"""

from __future__ import annotations

import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.cluster.places import REPOSITORY
from tests.cluster.progress import say, step
from tests.cluster.targets import Target
from tests.demo.clips import real_footage, synthetic
from tests.demo.door import DoorStage, door_staged
from tests.demo.encode import write_gif, write_mp4
from tests.demo.errors import DemoError
from tests.demo.film import FRAMES_PER_SECOND, film
from tests.demo.images import Images, bring
from tests.demo.reference import reference
from tests.demo.session import Session
from tests.demo.stage import Stage, staged
from tests.demo.table import table
from tests.demo.target import borrowed
from tests.demo.verdict import Verdict, iou_curves

KILL_AT, DELETE_AT = 18, 48
"""Frames in the middle of whose requests the agent is killed and its pod is deleted."""

_OUT = REPOSITORY / "out" / "demo"


@dataclass(frozen=True, slots=True)
class Demo:
    """One of the demos: how make calls it, what it sets up, and the names of its films."""

    name: str
    staged: Callable[[Kubectl, Images], AbstractContextManager[Stage | DoorStage]]
    film: str
    footage: str


DEMOS = {
    "agents": Demo("demo", staged, "demo", "footage"),
    "serverless": Demo("demo-serverless", door_staged, "serverless", "serverless-footage"),
}


def run(demo: Demo) -> list[str]:
    """Run the demo, print its table, write its pictures; return what did not come out as it has to."""
    with step("synthetic video, real footage"):
        clip, footage = synthetic(), real_footage()
    with step("SAM2's own predictor on the video, without CVAT"):
        own = iou_curves(clip, reference(clip))
    with borrowed() as target, demo.staged(target.kubectl, _bring(target)) as stage:
        with step(
            f"the annotator tracks {len(clip.targets)} objects over {len(clip.jpegs)} frames, no kills"
        ):
            undisturbed = stage.play(clip)
        with step(f"the same, with SIGKILL in frame {KILL_AT} and the pod deleted in frame {DELETE_AT}"):
            session = stage.play(clip, kill_at=KILL_AT, delete_at=DELETE_AT)
        with step("the same agent on real footage, with another SIGKILL"):
            filmed = stage.play(footage, kill_at=len(footage.jpegs) // 2)
        functions, agents = stage.functions(), stage.agents()
    curves = iou_curves(clip, session.masks())
    verdict = Verdict(session, undisturbed, curves, own, functions, agents)
    with step("pictures"):
        same = "every mask is the same as without the kills"
        _show(session, verdict, demo.film, "not every mask is the same" if verdict.differing else same)
        _show(filmed, None, demo.footage, f"{len(footage.jpegs)} frames tracked")
    print(table(verdict), flush=True)
    return verdict.complaints()


def _bring(target: Target) -> Images:
    with step("images: build what changed, bring them to the cluster"):
        return bring(target)


def _show(session: Session, verdict: Verdict | None, name: str, closing: str) -> None:
    """Write the film of a session as GIF and MP4."""
    pictures = list(film(session, verdict.curves if verdict else None, closing=closing))
    for path, write in ((_OUT / f"{name}.gif", write_gif), (_OUT / f"{name}.mp4", write_mp4)):
        write(pictures, path, FRAMES_PER_SECOND)
        say(f"   {path.relative_to(REPOSITORY)}: {path.stat().st_size / 1e6:.1f} MB")


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 when everything came out as it has to."""
    demo = DEMOS[arguments[0] if arguments else "agents"]
    signal.signal(signal.SIGTERM, _terminated)
    warnings.filterwarnings("ignore", module="sam2")
    began = time.monotonic()
    try:
        complaints = run(demo)
    except (DemoError, ClusterError) as error:
        say(f"make {demo.name}: {error}")
        if isinstance(error, DemoError) and error.advice:
            say(f"make {demo.name}: what to do: {error.advice}")
        return 1
    except KeyboardInterrupt:
        say(f"make {demo.name}: interrupted")
        return 130
    for complaint in complaints:
        say(f"make {demo.name}: {complaint}")
    ended = "failed" if complaints else "all is well"
    say(f"make {demo.name}: {ended} after {time.monotonic() - began:.0f} s")
    return 1 if complaints else 0


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
