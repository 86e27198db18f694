"""SAM2 as a tracking function of the stock `cvat-cli` agent, written against cvat_sdk's public interface.

    cvat-cli function run-agent ID --function-module benchmarks.stock_function
             -p config=str:MODEL.yaml -p checkpoint=str:MODEL.pt -p device=str:cuda

As a good user would write it: the image encoder runs once a frame, whatever its number of objects, and each
object is tracked by SAM2's own predictor on an inference state of its own, which keeps no more frames than
SAM2 reads.  On a clip that is no shorter than SAM2's window its masks are those of SAM2's own loop.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cvat_sdk.auto_annotation as cvataa
import numpy as np
import torch
from cvat_sdk.masks import decode_mask, encode_mask
from PIL import Image

from tests.tiny_sam2.model import build_predictor

_WINDOW = 16
"""So many frames SAM2 reads pointers of, and less of memory."""

_MEAN = torch.tensor((0.485, 0.456, 0.406))[:, None, None]
_STD = torch.tensor((0.229, 0.224, 0.225))[:, None, None]


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A frame as SAM2's image encoder gives it, and its size (width, height)."""

    size: tuple[int, int]
    image: torch.Tensor
    backbone: Any


@dataclass(slots=True, eq=False)
class Tracked:
    """One object: the inference state of SAM2's predictor, and the number of its last frame."""

    inference: dict[str, Any]
    frame: int = 0


class Sam2Function:
    """What the agent calls: `spec`, `preprocess_image`, `init_tracking_state` and `track`."""

    spec = cvataa.TrackingFunctionSpec(supported_shape_types={"mask"})

    def __init__(self, config: Path, checkpoint: Path, device: torch.device) -> None:
        self._predictor: Any = build_predictor(config, checkpoint).to(device)
        self._device = device

    def preprocess_image(self, _context: cvataa.TrackingFunctionContext, image: Image.Image) -> Encoded:
        """Run the image encoder."""
        side = self._predictor.image_size
        pixels = torch.from_numpy(np.array(image.convert("RGB").resize((side, side))) / 255.0)
        normal = (pixels.permute(2, 0, 1).float().contiguous() - _MEAN) / _STD
        with self._inference():
            tensor = normal.unsqueeze(0).to(self._device)
            return Encoded(image.size, tensor, self._predictor.forward_image(tensor))

    def init_tracking_state(
        self, _context: cvataa.TrackingFunctionShapeContext, frame: Encoded, shape: cvataa.TrackableShape
    ) -> Tracked:
        """Prompt SAM2 with the shape's mask."""
        width, height = frame.size
        mask = decode_mask(shape.points, image_width=width, image_height=height)
        state = self._state(frame)
        with self._inference():
            self._predictor.add_new_mask(state, 0, 0, mask)
            self._predictor.propagate_in_video_preflight(state)
        return Tracked(state)

    def track(
        self, _context: cvataa.TrackingFunctionShapeContext, frame: Encoded, tracked: Tracked
    ) -> cvataa.TrackableShape | None:
        """Take the object one frame on; None where it is not seen."""
        tracked.frame += 1
        state, index = tracked.inference, tracked.frame
        state["num_frames"] = max(_WINDOW, index + 1)
        state["cached_features"] = {index: (frame.image, frame.backbone)}
        records = state["output_dict_per_obj"][0]
        with self._inference():
            record, logits = self._predictor._run_single_frame_inference(  # noqa: SLF001
                inference_state=state,
                output_dict=records,
                frame_idx=index,
                batch_size=1,
                is_init_cond_frame=False,
                point_inputs=None,
                mask_inputs=None,
                reverse=False,
                run_mem_encoder=True,
            )
            _, logits = self._predictor._get_orig_video_res_output(state, logits)  # noqa: SLF001
            mask = (logits[0, 0] > 0).cpu().numpy()
        recent = records["non_cond_frame_outputs"]
        recent[index] = record
        recent.pop(index - _WINDOW, None)
        return cvataa.TrackableShape(type="mask", points=encode_mask(mask)) if mask.any() else None

    def _state(self, frame: Encoded) -> dict[str, Any]:
        """What SAM2's `init_state` makes, for one frame that is encoded already."""
        width, height = frame.size
        return {
            "num_frames": 1,
            "video_height": height,
            "video_width": width,
            "device": self._device,
            "storage_device": self._device,
            "cached_features": {0: (frame.image, frame.backbone)},
            "constants": {},
            "obj_id_to_idx": OrderedDict(),
            "obj_idx_to_id": OrderedDict(),
            "obj_ids": [],
            "point_inputs_per_obj": {},
            "mask_inputs_per_obj": {},
            "output_dict_per_obj": {},
            "temp_output_dict_per_obj": {},
            "frames_tracked_per_obj": {},
        }

    @contextmanager
    def _inference(self) -> Iterator[None]:
        on_gpu = self._device.type == "cuda"
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=on_gpu):
            yield


def create(config: str, checkpoint: str, device: str = "cpu") -> Sam2Function:
    """What `cvat-cli` calls with the parameters that it was given."""
    return Sam2Function(Path(config), Path(checkpoint), torch.device(device))
