"""The OCI image layout: reading it, and writing images of one static program each, without a builder."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path
from typing import Any

from tests.cluster import binaries

_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_NOBODY = 65532


def program_image(program: str) -> str:
    """The name of a program's image: another program has another name, so that nodes never mix them up."""
    return f"localhost/{program}:{binaries.MODULES[program].digest()[:12]}"


def write_program_image(archive: Path, program: str) -> None:
    """Write an archive of an image that runs a built program as nobody; always the same bytes."""
    layer = _tar({program: binaries.program(program).read_bytes()}, mode=0o755)
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()],
        "os": "linux",
        "config": {"Entrypoint": [f"/{program}"], "User": f"{_NOBODY}:{_NOBODY}"},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    blobs = {_digest(layer): layer}

    def add(media_type: str, content: dict[str, Any]) -> dict[str, Any]:
        data = json.dumps(content, sort_keys=True).encode()
        blobs[_digest(data)] = data
        return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": add(_CONFIG, config),
        "layers": [{"mediaType": _LAYER, "digest": _digest(layer), "size": len(layer)}],
    }
    named = {**add(_MANIFEST, manifest), "annotations": {"io.containerd.image.name": program_image(program)}}
    files = {f"blobs/{digest.replace(':', '/')}": data for digest, data in blobs.items()}
    files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [named]}).encode()
    archive.write_bytes(_tar(files, mode=0o644))


def reachable(layout: Path) -> list[str]:
    """The digests of the manifests, configurations and layers of the images in an OCI layout folder."""
    digests: list[str] = []
    for described in json.loads((layout / "index.json").read_text())["manifests"]:
        manifest = json.loads(blob(layout, described["digest"]).read_text())
        digests.append(described["digest"])
        digests += [part["digest"] for part in (manifest["config"], *manifest["layers"])]
    return digests


def blob(layout: Path, digest: str) -> Path:
    """Where a layout keeps the content of that digest."""
    return layout / "blobs" / digest.replace(":", "/")


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _tar(files: dict[str, bytes], *, mode: int) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), mode
            archive.addfile(member, io.BytesIO(data))
    return output.getvalue()
