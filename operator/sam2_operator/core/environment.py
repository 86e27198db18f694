"""The agent's settings, as environment variables and files: the contract of operator and agent."""

from __future__ import annotations

import re
from math import ceil
from typing import TYPE_CHECKING, Any

from sam2_operator.core import naming
from sam2_operator.core.drift import amount

if TYPE_CHECKING:
    from sam2_operator.api.references import CABundle
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.observed import Manifest

PREFIX = "SAM2_AGENT_"
PORT = 8080
DOOR_PORT = 8081

_SECRETS = "/var/run/secrets/sam2-agent"
_CVAT = f"{_SECRETS}/cvat"
_CVAT_CA = f"{_SECRETS}/cvat-ca"
_REDIS = f"{_SECRETS}/redis"
_REDIS_CA = f"{_SECRETS}/redis-ca"
_DOOR = f"{_SECRETS}/door"
_HUB = f"{_SECRETS}/hub"
_MODEL = "/var/lib/sam2-agent/model"
_CACHE = "/var/cache/sam2-agent"
_READABLE_BY_GROUP = 0o440


def environment(tracker: Tracker, function_id: int | None) -> list[dict[str, Any]]:
    """Give the container's variables: the agent's settings, then the user's own.

    `function_id` is that which the agent serves; it means nothing for a serverless tracker.
    """
    spec = tracker.spec
    settings = {
        **(_door() if tracker.is_serverless else _queue(tracker, function_id)),
        "SHAPE_TYPES": ",".join(spec.function.shape_types),
        **_model(tracker),
        **_state(tracker),
        "HTTP_PORT": str(PORT),
        "LOG_FORMAT": "json",
    }
    ours = [{"name": PREFIX + name, "value": value} for name, value in settings.items() if value is not None]
    holder = {"name": f"{PREFIX}HOLDER", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
    # The image's home is on the read-only root; libraries that insist on one (triton, matplotlib) get /tmp.
    defaults = [{"name": "HOME", "value": "/tmp"}, *_threads(tracker)]  # noqa: S108 - the pod's own emptyDir
    theirs = [variable.model_dump(by_alias=True, exclude_none=True) for variable in spec.agent.env or ()]
    overridden = {variable["name"] for variable in theirs}
    return [*ours, holder, *(each for each in defaults if each["name"] not in overridden), *theirs]


def volumes(tracker: Tracker) -> tuple[list[Manifest], list[Manifest]]:
    """Give the pod's volumes and the container's mounts."""
    spec, name = tracker.spec, tracker.metadata.name
    mounted: list[tuple[str, str, Manifest, bool]] = [
        ("tmp", "/tmp", {"emptyDir": {}}, False),  # noqa: S108 - an emptyDir of the pod's own
    ]
    if spec.cvat.credentials_secret_ref is not None:
        mounted.append(("cvat", _CVAT, _secret(spec.cvat.credentials_secret_ref.name), True))
    if tracker.is_serverless:
        mounted.append(("door", _DOOR, _secret(naming.door_secret_name(name), {"token": "token"}), True))
    if spec.cvat.ca_bundle is not None:
        mounted.append(("cvat-ca", _CVAT_CA, _bundle(spec.cvat.ca_bundle), True))
    if spec.state.secret_ref is not None:
        reference = spec.state.secret_ref
        mounted.append(("redis", _REDIS, _secret(reference.name, {reference.key: "url"}), True))
    elif spec.state.url is None:
        mounted.append(("redis", _REDIS, _secret(naming.state_secret_name(name), {"url": "url"}), True))
    if spec.state.ca_bundle is not None:
        mounted.append(("redis-ca", _REDIS_CA, _bundle(spec.state.ca_bundle), True))
    if spec.model.token_secret_ref is not None:
        token = spec.model.token_secret_ref
        mounted.append(("hub", _HUB, _secret(token.name, {token.key: "token"}), True))
    if spec.model.volume is not None:
        claim = {"claimName": spec.model.volume.claim_name, "readOnly": True}
        mounted.append(("model", _MODEL, {"persistentVolumeClaim": claim}, True))
    else:
        mounted.append(("cache", _CACHE, _cache(tracker), False))
    sources = [{"name": volume, **source} for volume, _, source, _ in mounted]
    mounts = [
        {"name": volume, "mountPath": path, **({"readOnly": True} if read_only else {})}
        for volume, path, _, read_only in mounted
    ]
    return sources, mounts


def _queue(tracker: Tracker, function_id: int | None) -> dict[str, str | None]:
    """Give the settings of an agent that takes requests from CVAT."""
    if function_id is None:
        raise ValueError("an agent of CVAT's queue serves a function")
    cvat = tracker.spec.cvat
    return {
        "CVAT_URL": cvat.url,
        "CVAT_ORGANIZATION": cvat.organization or None,
        "CVAT_CREDENTIALS_DIR": _CVAT,
        "CVAT_CA_FILE": _file(_CVAT_CA, cvat.ca_bundle),
        "CVAT_PROXY_URL": cvat.proxy_url,
        "FUNCTION_ID": str(function_id),
        "AGENT_ID": naming.agent_id(tracker.metadata.uid, function_id),
    }


def _door() -> dict[str, str | None]:
    """Give the settings of an agent that is called."""
    return {
        "INTERFACE": "serverless",
        "DOOR_PORT": str(DOOR_PORT),
        "DOOR_TOKEN_FILE": f"{_DOOR}/token",
    }


def _threads(tracker: Tracker) -> list[dict[str, Any]]:
    """Give PyTorch as many threads as the container may use cores.

    It would start one for every core of the node: more than the limit are throttled, and another number of
    them, on another node, gives results that differ in the last bits.
    """
    resources = tracker.spec.agent.resources
    limit = (resources.limits or {}).get("cpu") if resources is not None else None
    if limit is None or tracker.spec.model.device != "cpu":
        return []
    return [{"name": "OMP_NUM_THREADS", "value": str(max(1, ceil(amount(limit))))}]


def _model(tracker: Tracker) -> dict[str, str | None]:
    model = tracker.spec.model
    common = {"DEVICE": model.device, "PRECISION": model.precision}
    if model.id is None:
        return {
            "MODEL_CONFIG": f"{_MODEL}/{model.config}",
            "MODEL_CHECKPOINT": f"{_MODEL}/{model.checkpoint}",
            **common,
        }
    return {
        "MODEL_ID": model.id,
        "MODEL_REVISION": model.revision,
        "MODEL_CACHE_DIR": _CACHE,
        "MODEL_TOKEN_FILE": f"{_HUB}/token" if model.token_secret_ref else None,
        **common,
    }


def _state(tracker: Tracker) -> dict[str, str | None]:
    state = tracker.spec.state
    return {
        "REDIS_URL": state.url,
        "REDIS_URL_FILE": None if state.url else f"{_REDIS}/url",
        "REDIS_CA_FILE": _file(_REDIS_CA, state.ca_bundle),
        "KEY_PREFIX": naming.key_prefix(tracker.metadata.uid),
        "STATE_TTL_SECONDS": str(seconds(state.ttl)),
        "MEMORY_TTL_SECONDS": None if tracker.is_serverless else str(seconds(state.memory_ttl)),
    }


def seconds(duration: str) -> int:
    """Read a duration such as 8h, 1h30m or 90s."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(count) * units[unit] for count, unit in re.findall(r"(\d+)([hms])", duration))


def _file(folder: str, bundle: CABundle | None) -> str | None:
    return f"{folder}/ca.crt" if bundle is not None else None


def _secret(name: str, items: dict[str, str] | None = None) -> Manifest:
    secret: Manifest = {"secretName": name, "defaultMode": _READABLE_BY_GROUP}
    if items:
        secret["items"] = [{"key": key, "path": path} for key, path in items.items()]
    return {"secret": secret}


def _bundle(bundle: CABundle) -> Manifest:
    if bundle.secret_key_ref is not None:
        return _secret(bundle.secret_key_ref.name, {bundle.secret_key_ref.key: "ca.crt"})
    if bundle.config_map_key_ref is None:
        raise ValueError("a CA bundle names a Secret or a ConfigMap")
    reference = bundle.config_map_key_ref
    items = [{"key": reference.key, "path": "ca.crt"}]
    return {"configMap": {"name": reference.name, "defaultMode": _READABLE_BY_GROUP, "items": items}}


def _cache(tracker: Tracker) -> Manifest:
    cache = tracker.spec.model.cache
    if cache is not None and cache.persistent_volume_claim is not None:
        return {"persistentVolumeClaim": {"claimName": cache.persistent_volume_claim.claim_name}}
    if cache is not None and cache.volume_claim_template is not None:
        return {"persistentVolumeClaim": {"claimName": naming.cache_claim_name(tracker.metadata.name)}}
    limit = cache.ephemeral.size_limit if cache is not None and cache.ephemeral is not None else "10Gi"
    return {"emptyDir": {"sizeLimit": limit}}
