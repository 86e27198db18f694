"""One training step of the small model: a clip is tracked as SAM2's video predictor tracks it, and judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from tests.tiny_sam2.training_clips import Batch, Clips, PointInputs, sample_batch

ABSENT_WEIGHT = 5.0
"""In the loss of the object score: few frames of a clip lack the object."""

DecoderOutput = tuple[torch.Tensor, ...]
"""Mask logits (objects, tokens, s, s), predicted IoU (objects, tokens), tokens, object score (objects, 1)."""


class ClipTracker:
    """Runs clips through a `SAM2Base`, and keeps what its mask decoder says on the way."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._decoded: DecoderOutput = ()
        model.sam_mask_decoder.register_forward_hook(self._keep)
        # The neck repeats its position encodings over the batch; a view of one does.
        encoding = model.image_encoder.neck.position_encoding
        whole = encoding._pe
        encoding._pe = lambda batch, *where: whole(1, *where).expand(batch, -1, -1, -1)

    def _keep(self, _module: object, _arguments: object, output: DecoderOutput) -> None:
        self._decoded = output

    def track(
        self, batch: Batch, prompt: PointInputs | None = None
    ) -> Iterator[tuple[dict[str, Any], DecoderOutput]]:
        """Yield for each frame the model's output, and the decoder's from before the object score decides.

        `prompt` is on the first frame; without it the first masks are the prompt.
        """
        model, masks = self.model, batch.masks
        clips, length = batch.images.shape[:2]
        owner = torch.arange(clips).repeat_interleave(len(masks) // clips)
        features = model.forward_image(batch.images.flatten(0, 1))
        positions = [encoding[:1].expand(len(masks), -1, -1, -1) for encoding in features["vision_pos_enc"]]
        past: dict[str, dict[int, Any]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
        for t, number in enumerate(batch.numbers):
            rows = owner * length + t
            here = {
                "backbone_fpn": [feature[rows] for feature in features["backbone_fpn"]],
                "vision_pos_enc": positions,
            }
            _, feats, feat_positions, sizes = model._prepare_backbone_features(here)
            given = masks[:, :1] if t == 0 and prompt is None else None
            out = model.track_step(
                frame_idx=number,
                is_init_cond_frame=t == 0,
                current_vision_feats=feats,
                current_vision_pos_embeds=feat_positions,
                feat_sizes=sizes,
                point_inputs=prompt if t == 0 else None,
                mask_inputs=given,
                output_dict=past,
                num_frames=max(60, number + 1),
                run_mem_encoder=given is None,
            )
            if given is not None:
                # The video predictor encodes a given mask from its quarter-size copy.
                side = model.image_size
                large = F.interpolate(out["pred_masks"], (side, side), mode="bilinear")
                out["maskmem_features"], out["maskmem_pos_enc"] = model._encode_new_memory(
                    feats, sizes, large, out["object_score_logits"], is_mask_from_pts=True
                )
            past["non_cond_frame_outputs" if t else "cond_frame_outputs"][number] = out
            yield out, self._decoded


def frame_losses(decoded: DecoderOutput, target: torch.Tensor) -> torch.Tensor:
    """Losses of one frame, each a mean over objects: of the masks, the predicted IoU and the object score.

    `target` is float32 of shape (objects, side, side).  Every mask token is taught the same mask: a prompt
    here is never ambiguous.
    """
    logits, predicted_iou, _, score = (tensor.float() for tensor in decoded)
    side = logits.shape[-1] * 2
    target = F.adaptive_avg_pool2d(target[:, None], side)  # soft at the edges
    there = (target.flatten(1).sum(1) >= 1).float()
    logits = F.interpolate(logits, (side, side), mode="bilinear", align_corners=False)
    target = target.expand_as(logits)
    chance = logits.sigmoid()
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    focal = ((chance - target).abs() * cross).mean((2, 3))
    both = (chance * target).sum((2, 3))
    dice = 1 - (2 * both + 1) / (chance.sum((2, 3)) + target.sum((2, 3)) + 1)
    with torch.no_grad():
        found, truth = logits > 0, target > 0.5
        iou = (found & truth).sum((2, 3)) / (found | truth).sum((2, 3)).clamp(min=1)
    weight = there / there.sum().clamp(min=1)
    mask_loss = ((20 * focal + dice).mean(1) * weight).sum()
    iou_loss = ((predicted_iou - iou).abs().mean(1) * weight).sum()
    weight = torch.where(there > 0, 1.0, ABSENT_WEIGHT)
    score_loss = F.binary_cross_entropy_with_logits(score[:, 0], there, weight)
    return torch.stack((mask_loss, iou_loss, score_loss))


@torch.no_grad()
def validate(tracker: ClipTracker, clips: Clips, *, batches: int) -> tuple[float, float]:
    """Mean IoU over frames that show the object, and how often the object score is right about that."""
    rng = np.random.default_rng(5)
    ious: list[float] = []
    right: list[bool] = []
    for _ in range(batches):
        batch = sample_batch(rng, clips, 4, 20, augment=False)
        for t, (out, _) in enumerate(tracker.track(batch)):
            if t == 0:
                continue
            logits = F.interpolate(out["pred_masks"].float(), batch.masks.shape[-2:], mode="bilinear")
            found, truth = logits[:, 0] > 0, batch.masks[:, t] > 0.5
            there = truth.flatten(1).any(1)
            iou = (found & truth).sum((1, 2)) / (found | truth).sum((1, 2)).clamp(min=1)
            ious += iou[there].tolist()
            right += ((out["object_score_logits"][:, 0] > 0) == there).tolist()
    return float(np.mean(ious)), float(np.mean(right))
