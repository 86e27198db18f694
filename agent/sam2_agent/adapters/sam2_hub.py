"""Fetch SAM2 and SAM2.1 checkpoints from the Hugging Face hub, and say plainly what went wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import errors, hf_hub_download
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]
from sam2.build_sam import HF_MODEL_ID_TO_FILENAMES

from sam2_agent.errors import ModelNotFound


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model of the hub: its id, an optional branch, tag or commit, a token, and where files are kept."""

    id: str
    revision: str | None = None
    token: str | None = field(default=None, repr=False)
    cache_dir: Path | None = None


def fetch(model: HubModel, *, endpoint: str | None = None) -> tuple[str, Path]:
    """Download a checkpoint unless it is cached: its config's name inside the sam2 package, and its path.

    `endpoint` is the hub's URL; by default that of the environment (`HF_ENDPOINT`) or the public one.

    Raises:
        ModelNotFound: the id, revision or file is unknown, access is refused, or the hub cannot be reached.
    """
    try:
        config_name, filename = HF_MODEL_ID_TO_FILENAMES[model.id]
    except KeyError:
        known = ", ".join(HF_MODEL_ID_TO_FILENAMES)
        raise ModelNotFound(
            f"{model.id} is none of the models that sam2 knows by name ({known}); "
            "for another one give its config and checkpoint on a volume."
        ) from None
    # Progress bars are for terminals; the agent's output is its log.
    disable_progress_bars()
    try:
        path = hf_hub_download(
            model.id,
            filename,
            revision=model.revision,
            token=model.token,
            cache_dir=model.cache_dir,
            endpoint=endpoint,
        )
    except Exception as error:  # the hub's own errors, and those of the HTTP library that it happens to use
        raise ModelNotFound(_explain(model, filename, error)) from error
    return config_name, Path(path)


def _explain(model: HubModel, filename: str, error: Exception) -> str:
    """One sentence on why a download failed."""
    where = f"{model.id} at revision {model.revision or 'main'}"
    # The hub's errors derive from each other: the more special ones stand first.
    match error:
        case errors.GatedRepoError():
            reason = "is gated; accept its terms on the hub and give the agent a token that may read it"
        case errors.RevisionNotFoundError():
            reason = "does not exist on the hub; check the model's revision"
        case errors.RepositoryNotFoundError():
            reason = "is not on the hub, or is private and the agent's token may not read it"
        case errors.LocalEntryNotFoundError():
            reason = "is not in the cache, and the hub cannot be reached; allow that or use a volume"
        case errors.EntryNotFoundError():
            reason = f"has no file {filename}; check the model's revision"
        case errors.HFValidationError():
            reason = "is no name that the hub accepts; check the model's id and revision"
        case errors.HfHubHTTPError():
            reason = f"was refused by the hub with HTTP status {error.response.status_code}"
        case OSError(strerror=str() as words):
            reason = f"cannot be kept in the model cache ({words})"
        case _:
            reason = f"cannot be downloaded ({type(error).__name__})"
    return f"The model {where} {reason}."
