"""Building a model: what users give by mistake ends in one sentence, and what is built is sam2's own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from sam2.modeling.memory_attention import MemoryAttention

from sam2_agent.adapters.sam2_build import BuiltModel, VolumeModel, build
from sam2_agent.adapters.sam2_device import choose_precision, open_device
from sam2_agent.errors import (
    DeviceLost,
    DeviceOutOfMemory,
    DeviceUnavailable,
    GaveUp,
    ModelInvalid,
    ModelNotFound,
)
from tests.fidelity.clips import write_clip
from tests.fidelity.tracks import mask_prompt, propagate, same_bits
from tests.tiny_sam2.model import CONFIG, WEIGHTS, build_default

CPU = torch.device("cpu")


def test_the_predictor_is_the_one_that_sam2_builds(model: BuiltModel, predictor: Any) -> None:
    assert type(model.predictor) is type(predictor)
    assert str(model.predictor) == str(predictor)
    assert _settings(model.predictor) == _settings(predictor)
    ours, theirs = model.predictor.state_dict(), predictor.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_hole_filling_is_off_by_the_only_way_that_works(model: BuiltModel) -> None:
    """When this fails, sam2 heeds the override: then an override may take the place of the attribute."""
    assert build_default(overrides=["++model.fill_hole_area=0"]).fill_hole_area == 8

    assert model.predictor.fill_hole_area == 0


def test_sam2_with_hole_filling_warns_where_its_extension_is_missing(predictor: Any, tmp_path: Path) -> None:
    """When this fails, sam2 fills holes here: then it may be worth having."""
    clip = write_clip(tmp_path, 5, "easy", 2)

    with pytest.warns(UserWarning, match="Skipping the post-processing step"):
        filled = propagate(build_default(), clip, [mask_prompt(clip, 1)])

    assert all(map(same_bits, filled, propagate(predictor, clip, [mask_prompt(clip, 1)])))


def test_hydra_is_left_as_it_was() -> None:
    before = GlobalHydra.instance().hydra

    build(VolumeModel(CONFIG, WEIGHTS), CPU)
    with pytest.raises(ModelInvalid):
        build(VolumeModel(WEIGHTS, WEIGHTS), CPU)

    assert GlobalHydra.instance().hydra is before


def test_the_digest_names_weights_and_config(model: BuiltModel, tmp_path: Path) -> None:
    other_weights, other_config = tmp_path / "weights.pt", tmp_path / "config.yaml"
    checkpoint = torch.load(WEIGHTS, weights_only=True)
    checkpoint["model"]["no_mem_embed"][..., 0] += 1
    torch.save(checkpoint, other_weights)
    other_config.write_text(CONFIG.read_text().replace("dropout: 0.0", "dropout: 0.1"))
    shutil.copy(CONFIG, tmp_path / "renamed.yaml")

    assert build(VolumeModel(CONFIG, other_weights), CPU).digest != model.digest
    assert build(VolumeModel(other_config, WEIGHTS), CPU).digest != model.digest
    assert build(VolumeModel(tmp_path / "renamed.yaml", WEIGHTS), CPU).digest == model.digest


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (
            ("num_maskmem: 7", "num_maskmem: 12"),
            "sets num_maskmem to a value that the agent does not support",
        ),
        (("num_maskmem: 7", "num_maskmem: 7\n  max_obj_ptrs_in_encoder: 64"), "sets max_obj_ptrs_in_encoder"),
        (("num_maskmem: 7", "num_maskmem: 7\n  memory_temporal_stride_for_eval: 5"), "temporal_stride"),
        (("num_maskmem: 7", "num_maskmem: 7\n  non_overlap_masks: true"), "sets non_overlap_masks to"),
        (("image_size: 160", "image_size: ???"), "is no config that SAM2 can build"),
        (("MemoryAttention\n", "NoSuchThing\n"), "is no config that SAM2 can build"),
        (("model:", "modell:"), "is no config that SAM2 can build"),
        (("model:", ": ["), "is no config that SAM2 can build"),
        (("embed_dim: 16", "embed_dim: 32"), "is no config that SAM2 can build"),
        (("num_layers: 2", "num_layers: 3"), "does not fit the config"),
    ],
)
def test_a_config_that_cannot_be_used_is_told(tmp_path: Path, edit: tuple[str, str], sentence: str) -> None:
    config = tmp_path / "config.yaml"
    text = CONFIG.read_text()
    assert edit[0] in text
    config.write_text(text.replace(edit[0], edit[1], 1))

    with pytest.raises(ModelInvalid) as invalid:
        build(VolumeModel(config, WEIGHTS), CPU)

    assert sentence in str(invalid.value)
    assert "\n" not in str(invalid.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for missing in (VolumeModel(tmp_path / "none.yaml", WEIGHTS), VolumeModel(CONFIG, tmp_path / "none.pt")):
        with pytest.raises(ModelNotFound, match=r"There is no file .*none\.(yaml|pt)"):
            build(missing, CPU)


def test_a_checkpoint_that_is_none_is_told(tmp_path: Path) -> None:
    cases: dict[str, Any] = {
        "text.pt": b"not a checkpoint",
        "empty.pt": b"",
        "truncated.pt": WEIGHTS.read_bytes()[:100_000],
        "list.pt": [1, 2],
        "nested.pt": {"model": {"a": "b"}},
        "bare.pt": torch.load(WEIGHTS, weights_only=True)["model"],
        "code.pt": {"model": Path("/")},
    }
    for name, content in cases.items():
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            torch.save(content, tmp_path / name)
        with pytest.raises(ModelInvalid, match=rf"{name} is no .*checkpoint"):
            build(VolumeModel(CONFIG, tmp_path / name), CPU)


def test_a_checkpoint_of_another_model_is_told(tmp_path: Path) -> None:
    checkpoint = torch.load(WEIGHTS, weights_only=True)
    del checkpoint["model"]["no_mem_embed"]
    torch.save(checkpoint, tmp_path / "other.pt")

    with pytest.raises(ModelInvalid, match=r"other\.pt does not fit the config"):
        build(VolumeModel(CONFIG, tmp_path / "other.pt"), CPU)


def test_a_device_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name, sentence in (
        ("cuda", "no CUDA device is visible here"),
        ("cuda:3", "no CUDA device is visible here"),
        ("mps", "not supported"),
        ("gpu", "There is no device named 'gpu'"),
    ):
        with pytest.raises(DeviceUnavailable, match=sentence):
            open_device(name)
    assert open_device("cpu") == CPU


def test_a_device_without_room_for_the_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def move(module: torch.nn.Module, device: torch.device | str) -> torch.nn.Module:
        if isinstance(device, torch.device):  # sam2's own builder names the CPU by a string
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return module

    monkeypatch.setattr(torch.nn.Module, "to", move)
    with pytest.raises(DeviceOutOfMemory, match="give the agent a larger GPU, or a smaller model"):
        build(VolumeModel(CONFIG, WEIGHTS), CPU)


@pytest.mark.parametrize(
    ("failure", "error", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), DeviceOutOfMemory, "The memory of cuda is full"),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), DeviceLost, "cuda failed"),
        (ValueError("such a model is none"), ModelInvalid, "no config that SAM2 can build"),
    ],
)
def test_a_device_that_fails_while_sam2_builds_is_not_the_configs_fault(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, error: type[GaveUp], sentence: str
) -> None:
    """Where there is a GPU, sam2's constructors put tables on it, whatever device they are told."""

    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(MemoryAttention, "__init__", fail)
    with pytest.raises(error, match=sentence) as raised:
        build(VolumeModel(CONFIG, WEIGHTS), CPU)

    assert type(raised.value) is error


def test_precision_follows_the_device_unless_it_is_set() -> None:
    cuda = torch.device("cuda")

    assert [choose_precision("auto", device) for device in (CPU, cuda)] == ["float32", "bfloat16"]
    assert [choose_precision("bfloat16", CPU), choose_precision("float32", cuda)] == ["bfloat16", "float32"]


def _settings(predictor: Any) -> dict[str, Any]:
    """Everything simple that the predictor was built with."""
    simple = (bool, int, float, str, type(None))
    return {name: value for name, value in vars(predictor).items() if isinstance(value, simple)}
