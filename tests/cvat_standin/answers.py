"""Whether what an agent answers fits what it was asked: pure checks.

CVAT's server is closed here. These are the conditions that its clients rely on: as many states and shapes as
asked for, in order, each shape null or of the type that tracking began with, with points that the page can
draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.cvat_standin.errors import invalid
from tests.cvat_standin.wire import MAX_STATE_LENGTH, CompleteBody, FoundShapeBody, ShapeBody

MIN_POLYGON_NUMBERS = 6


def check_answer(
    params: Mapping[str, Any],
    answer: CompleteBody,
    *,
    shape_types: Sequence[str | None],
    image_size: tuple[int, int],
) -> dict[str, Any]:
    """Return the result for whoever waits. Raises `ApiError` 400 when the answer does not fit the request.

    `shape_types` are the types that tracking began with, None where the server did not see it begin;
    `image_size` is (width, height).
    """
    if params.get("type") == "init_tracking":
        if answer.shapes:
            raise invalid("shapes", "A request of type init_tracking is answered by states only.")
        return {"states": _check_states(answer.states, len(params["shapes"]))}
    if params.get("type") == "track":
        states = _check_states(answer.states, len(params["states"]))
        return {"states": states, "shapes": _check_shapes(answer.shapes, shape_types, image_size)}
    if answer.annotations is None:
        raise invalid("annotations", "This field is required.")
    return {"annotations": answer.annotations}


def _check_states(states: list[str] | None, expected: int) -> list[str]:
    if states is None:
        raise invalid("states", "This field is required.")
    if len(states) != expected:
        raise invalid("states", f"Expected {expected} states, got {len(states)}.")
    for state in states:
        if not 1 <= len(state) <= MAX_STATE_LENGTH:
            raise invalid("states", f"Ensure each has 1 to {MAX_STATE_LENGTH} characters.")
    return states


def _check_shapes(
    shapes: list[FoundShapeBody | None] | None, types: Sequence[str | None], image_size: tuple[int, int]
) -> list[dict[str, Any] | None]:
    if shapes is None:
        raise invalid("shapes", "This field is required.")
    if len(shapes) != len(types):
        raise invalid("shapes", f"Expected {len(types)} shapes, got {len(shapes)}.")
    for shape, expected in zip(shapes, types, strict=True):
        if shape is None:
            continue
        if expected is not None and shape.type != expected:
            raise invalid("shapes", f"Expected a shape of type {expected}, got {shape.type}.")
        if not _is_drawable(shape, *image_size):
            raise invalid("shapes", f"Invalid points of a {shape.type}.")
    return [None if shape is None else shape.model_dump() for shape in shapes]


def _is_drawable(shape: ShapeBody, width: int, height: int) -> bool:
    points = shape.points
    if shape.type == "mask":
        return _is_mask(points, width, height)
    if shape.type == "polygon":
        return len(points) >= MIN_POLYGON_NUMBERS and len(points) % 2 == 0
    if shape.type == "rectangle":
        return len(points) == 4 and points[0] <= points[2] and points[1] <= points[3]
    return bool(points)


def _is_mask(points: Sequence[float], width: int, height: int) -> bool:
    """Run lengths, zeros first, that fill the box given by the last four numbers (inclusive)."""
    if len(points) < 5 or any(number < 0 or number != int(number) for number in points):
        return False
    *runs, left, top, right, bottom = (int(number) for number in points)
    inside = left <= right < width and top <= bottom < height
    return inside and sum(runs) == (right - left + 1) * (bottom - top + 1)
