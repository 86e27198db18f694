"""The reference of the resource, generated from the models.

`python -m sam2_operator.api.reference docs/resource.md` writes it; with `--check` it fails when the file is
stale.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from sam2_operator.api import API_VERSION, VERSION
from sam2_operator.api.crd import custom_resource_definition
from sam2_operator.api.generated import write_or_check

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTRODUCTION = """\
# SAM2Tracker

The resource `<version>`, kind `SAM2Tracker`, short name `s2t`. This page is generated from the
operator's models; `kubectl explain s2t.spec --recursive` shows the same in a terminal.
[operations.md](operations.md#reasons) says what the conditions in a status mean and what to do about them.

Usually this is enough:

```yaml
apiVersion: <version>
kind: SAM2Tracker
metadata:
  name: sam2
spec:
  cvat:
    url: https://app.cvat.ai
    credentialsSecretRef: {name: cvat}
  model:
    id: facebook/sam2.1-hiera-large
```

For a CVAT without agents `spec.cvat` is `{interface: Serverless}` alone: [serverless.md](serverless.md).

"""

_OPAQUE = frozenset({"spec.agent.affinity"})
"""Fields whose parts are those of Kubernetes' own Pod API."""


def rendered() -> str:
    """Give the page."""
    versions = {each["name"]: each for each in custom_resource_definition()["spec"]["versions"]}
    schema = versions[VERSION]["schema"]["openAPIV3Schema"]
    parts = [_INTRODUCTION.replace("<version>", API_VERSION)]
    for part in ("spec", "status"):
        parts.append(f"## {part}\n\n{schema['properties'][part]['description']}\n\n")
        parts.append("| field | type | meaning |\n| --- | --- | --- |\n")
        parts.extend(f"{row}\n" for row in _rows(part, schema["properties"][part]))
        parts.append("\n")
    parts.append("## Refused\n\nThe API server refuses what cannot work, with these sentences:\n\n")
    whole = [
        {"path": "metadata.name", "message": each["message"]} for each in schema["x-kubernetes-validations"]
    ]
    told = [*whole, *_sentences("spec", schema["properties"]["spec"])]
    parts.extend(f"- `{each['path']}`: {each['message']}\n" for each in told)
    return "".join(parts)


def _rows(path: str, schema: dict[str, Any]) -> Iterator[str]:
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        inner = f"{path}.{name}"
        description = field.get("description", "").replace("|", "\\|")
        notes = []
        if name in required:
            notes.append("Required.")
        elif field.get("default") not in (None, "", {}) and not isinstance(field["default"], dict):
            notes.append(f"Default: `{json.dumps(field['default'])}`.")
        yield f"| `{inner}` | {_type(field)} | {' '.join([description, *notes])} |"
        if inner not in _OPAQUE:
            yield from _rows(inner, field)
            yield from _rows(f"{inner}[]", field.get("items", {}))


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if field.get("x-kubernetes-int-or-string"):
        return "quantity"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if "additionalProperties" in field:
        return f"map of {_type(field['additionalProperties'])}"
    return str(field.get("type", "object"))


def _sentences(path: str, schema: dict[str, Any]) -> Iterator[dict[str, str]]:
    for rule in schema.get("x-kubernetes-validations", []):
        yield {"path": path, "message": rule["message"]}
    if path in _OPAQUE:
        return
    for name, field in schema.get("properties", {}).items():
        yield from _sentences(f"{path}.{name}", field)
        yield from _sentences(f"{path}.{name}[]", field.get("items", {}))


def main(arguments: list[str] | None = None) -> int:
    """Write the file, or compare it; give the exit status."""
    return write_or_check("sam2_operator.api.reference", rendered(), arguments)


if __name__ == "__main__":
    sys.exit(main())
