"""Track with SAM2, one step at a time, from records alone.

SAM2's video predictor keeps everything about a video in one growing inference state.  Here such a state is
built anew for every call from the records of a few frames, and SAM2's own methods run on it: so a step gives,
bit for bit, what `SAM2VideoPredictor.propagate_in_video` gives on the whole clip, whoever computed the steps
before it. `docs/fidelity.md` tells what that took.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sam2_agent.adapters import sam2_memory
from sam2_agent.adapters.resizing import resize
from sam2_agent.adapters.sam2_batches import batches
from sam2_agent.adapters.sam2_build import BuiltModel
from sam2_agent.adapters.sam2_device import Precision, failures_translated, inference
from sam2_agent.adapters.sam2_frames import EncodedFrame, normalize
from sam2_agent.adapters.sam2_memory import SpatialMemory
from sam2_agent.core.shapes import write_points
from sam2_agent.core.tracking import (
    MEMORY_FRAMES,
    BoxPrompt,
    Context,
    Features,
    Memory,
    Prompt,
    Remembered,
    Resized,
    ShapeType,
)
from sam2_agent.errors import DeviceOutOfMemory

ALGORITHM = "sam2-1.1/2"
"""Which program turns records into outputs: raised whenever the same records could give other outputs."""

GPU_BATCH = 32
"""How many objects a GPU tracks at once; CVAT sends at most as many in a request."""


@dataclass(frozen=True, slots=True, eq=False)
class Sam2Output:
    """One object on one frame.

    `mask` is bool of shape (height, width) of the frame, empty where the object is not visible;
    `low_resolution` are the logits as SAM2 decodes them, float32 (1, 1, s, s).
    """

    mask: NDArray[np.bool_]
    shape: ShapeType
    remembered: Remembered
    low_resolution: torch.Tensor

    @property
    def points(self) -> list[float] | None:
        """Where the object is, as CVAT takes it for the shape; None where it is not visible."""
        return write_points(self.shape, self.mask)


class Sam2Tracker:
    """SAM2 as a `sam2_agent.core.tracking.Tracker`.

    `batch_size` is how many objects are tracked at once.  By default a CPU takes them one by one, which costs
    nothing there and gives SAM2's own bits; a GPU takes them together, which differs from that by rounding.
    """

    def __init__(self, model: BuiltModel, precision: Precision, batch_size: int | None = None) -> None:
        self._predictor: Any = model.predictor
        self._device: torch.device = self._predictor.device
        self._precision: Precision = precision
        self._batch_size = batch_size or (GPU_BATCH if self._device.type == "cuda" else 1)
        identity = f"{ALGORITHM}\n{precision}\n{model.digest}"
        self._fingerprint = hashlib.sha256(identity.encode()).hexdigest()
        side = self._predictor.sam_image_embedding_size
        self._memory_shape = (1, self._predictor.mem_dim, side, side)
        self._memory_positions = self._encode_positions()
        self._positions: list[torch.Tensor] | None = None

    @property
    def fingerprint(self) -> str:
        """Digest of what decides the output: weights, config, precision and the algorithm's version."""
        return self._fingerprint

    @property
    def batch_size(self) -> int:
        """How many objects `step` tracks at once."""
        return self._batch_size

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._device

    @property
    def side(self) -> int:
        """Rows and columns of the frames that the model reads."""
        side: int = self._predictor.image_size
        return side

    def resize(self, image: NDArray[np.uint8]) -> Resized:
        """Bring an RGB image of shape (height, width, 3) to the model's size; any thread may call this."""
        return resize(image, self.side)

    def encode(self, image: Resized) -> EncodedFrame:
        """Run the image encoder once."""
        with self._inference():
            tensor = normalize(image, self._device)
            backbone = self._predictor.forward_image(tensor)
            # The same for every frame, and three times as large as all the rest of it.
            self._positions = self._positions or backbone["vision_pos_enc"]
            backbone["vision_pos_enc"] = self._positions
            self._synchronize()
        return EncodedFrame(image.size, tensor, backbone)

    def prompt(self, features: Features, prompts: Sequence[Prompt]) -> list[Sam2Output]:
        """Begin tracks on this frame, one for each prompt."""
        frame = _own_frame(features)
        return [self._prompt(frame, prompt) for prompt in prompts]

    def step(self, features: Features, contexts: Sequence[Context]) -> list[Sam2Output]:
        """Track each object one frame on; the answers equal those of one call for each."""
        frame = _own_frame(features)
        outputs: dict[int, Sam2Output] = {}
        for places in batches(contexts, self._batch_size):
            batch = self._step([contexts[place] for place in places], frame)
            outputs.update(zip(places, batch, strict=True))
        return [outputs[place] for place in range(len(contexts))]

    def dump_memory(self, memory: Memory) -> bytes:
        """Serialize memory as data; any thread may call this, also while the model runs."""
        with failures_translated(self._device), torch.inference_mode():
            return sam2_memory.dump(_own_memory(memory))

    def load_memory(self, data: bytes) -> SpatialMemory:
        """Give back what `dump_memory` was given; raises `DamagedRecord` for no memory of this model."""
        with self._inference():
            return sam2_memory.load(data, self._memory_shape, self._device)

    def logits(self, output: Sam2Output) -> NDArray[np.float32]:
        """The mask logits of an output at its frame's resolution, (height, width)."""
        height, width = output.mask.shape
        with self._inference():
            logits: NDArray[np.float32] = (
                self._resize(output.low_resolution, (width, height))[0, 0].cpu().numpy()
            )
        return logits

    def _prompt(self, frame: EncodedFrame, prompt: Prompt) -> Sam2Output:
        """Prompt one object and encode its first memory, as `propagate_in_video` does before it starts."""
        state = self._state(frame, index=0, num_frames=1)
        with self._inference():
            if isinstance(prompt, BoxPrompt):
                box = np.array(prompt.box, dtype=np.float32)
                self._predictor.add_new_points_or_box(state, 0, 0, box=box)
            else:
                self._predictor.add_new_mask(state, 0, 0, prompt.mask)
            self._predictor.propagate_in_video_preflight(state)
            result = state["output_dict_per_obj"][0]["cond_frame_outputs"][0]
            return self._outputs(frame, 0, result, ["mask"])[0]

    def _step(self, contexts: list[Context], frame: EncodedFrame) -> list[Sam2Output]:
        """Track one batch; where the device's memory is too small for it, its halves one after the other."""
        try:
            return self._track(contexts, frame)
        except DeviceOutOfMemory:
            if len(contexts) == 1:
                raise
        half = len(contexts) // 2
        return self._step(contexts[:half], frame) + self._step(contexts[half:], frame)

    def _track(self, contexts: list[Context], frame: EncodedFrame) -> list[Sam2Output]:
        index = contexts[0].index
        # From the length of the video SAM2 takes how to scale the pointers' positions in time, where only the
        # window matters, and that later frames do not exist.
        num_frames = max(contexts[0].window, index + 1)
        state = self._state(frame, index, num_frames)
        with self._inference():
            result, _ = self._predictor._run_single_frame_inference(  # noqa: SLF001
                inference_state=state,
                output_dict=self._records(contexts),
                frame_idx=index,
                batch_size=len(contexts),
                is_init_cond_frame=False,
                point_inputs=None,
                mask_inputs=None,
                reverse=False,
                run_mem_encoder=True,
            )
            return self._outputs(frame, index, result, [context.shape for context in contexts])

    def _records(self, contexts: list[Context]) -> dict[str, dict[int, dict[str, Any]]]:
        """The contexts' records, of equal frames in all of them, as SAM2 keeps its own."""
        rows = [(context.prompt, *context.recent) for context in contexts]
        pointers = np.stack([[record.pointer for record in row] for row in rows], axis=1)
        on_device = torch.from_numpy(pointers).to(self._device)
        records: dict[int, dict[str, Any]] = {}
        for place, column in enumerate(zip(*rows, strict=True)):
            index = column[0].index
            record: dict[str, Any] = {"obj_ptr": on_device[place]}
            if place == 0 or index >= contexts[0].index - MEMORY_FRAMES:
                memories = [_own_memory(remembered.memory).features for remembered in column]
                record["maskmem_features"] = torch.cat(memories)
                record["maskmem_pos_enc"] = [self._memory_positions.expand(len(column), -1, -1, -1)]
            records[index] = record
        prompt_index = rows[0][0].index
        return {
            "cond_frame_outputs": {prompt_index: records.pop(prompt_index)},
            "non_cond_frame_outputs": records,
        }

    def _state(self, frame: EncodedFrame, index: int, num_frames: int) -> dict[str, Any]:
        """An inference state as `init_state` makes it, with one frame already encoded and no objects."""
        width, height = frame.size
        return {
            "num_frames": num_frames,
            "video_height": height,
            "video_width": width,
            "device": self._device,
            "storage_device": self._device,
            "cached_features": {index: (frame.image, frame.backbone)},
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

    def _outputs(
        self, frame: EncodedFrame, index: int, result: dict[str, Any], shapes: Sequence[ShapeType]
    ) -> list[Sam2Output]:
        """SAM2's result for a batch as one output for each object, copied to the host."""
        low_resolution = result["pred_masks"]
        masks = (self._resize(low_resolution, frame.size) > 0).cpu().numpy()[:, 0]
        pointers = result["obj_ptr"].float().cpu().numpy()
        scores = result["object_score_logits"].float().flatten().tolist()
        return [
            Sam2Output(
                mask=masks[place],
                shape=shape,
                remembered=Remembered(
                    index=index,
                    pointer=pointers[place],
                    score=scores[place],
                    memory=SpatialMemory(result["maskmem_features"][place : place + 1]),
                ),
                low_resolution=low_resolution[place : place + 1],
            )
            for place, shape in enumerate(shapes)
        ]

    def _resize(self, low_resolution: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Mask logits at the resolution of the video, as SAM2 gives them out."""
        width, height = size
        state = {"device": self._device, "video_height": height, "video_width": width}
        logits: torch.Tensor
        _, logits = self._predictor._get_orig_video_res_output(state, low_resolution)  # noqa: SLF001
        return logits

    def _encode_positions(self) -> torch.Tensor:
        """The position encoding of spatial memory: a function of its shape, so nobody stores it."""
        dtype = torch.bfloat16 if self._precision == "bfloat16" else torch.float32
        with self._inference():
            blank = torch.zeros(self._memory_shape, device=self._device)
            positions: torch.Tensor = self._predictor.memory_encoder.position_encoding(blank).to(dtype)
        return positions

    def _inference(self) -> Any:
        return inference(self._device, self._precision)

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def _own_frame(features: Features) -> EncodedFrame:
    if not isinstance(features, EncodedFrame):
        raise TypeError(f"not a frame that this tracker encoded: {type(features).__name__}")
    return features


def _own_memory(memory: Memory | None) -> SpatialMemory:
    if not isinstance(memory, SpatialMemory):
        raise TypeError(f"no memory of this tracker where SAM2 reads one: {type(memory).__name__}")
    return memory
