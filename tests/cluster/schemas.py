"""JSON schemas of Kubernetes' own kinds, for kubeconform on a machine without internet.

They come from the API server's OpenAPI document. Each is whole (no references) and strict: a field that the
kind does not have is an error, as with kubectl's strict validation.
"""

import json
from pathlib import Path
from typing import Any

LOCATION = "{{.ResourceKind}}{{.KindSuffix}}.json"
"""What kubeconform's ``-schema-location`` says after the folder."""

Schema = dict[str, Any]

_REFERENCE = "#/definitions/"
# The document calls these strings; numbers are as good.
_NUMBERS_TOO = frozenset(
    {"io.k8s.apimachinery.pkg.util.intstr.IntOrString", "io.k8s.apimachinery.pkg.api.resource.Quantity"}
)


def standalone(document: Schema) -> dict[str, Schema]:
    """From an OpenAPI v2 document, a schema for each kind, by the name of kubeconform's file for it."""
    definitions: dict[str, Schema] = document["definitions"]
    files = {}
    for definition in definitions.values():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            group = kind["group"].partition(".")[0]
            parts = [kind["kind"], *([group] if group else []), kind["version"]]
            files["-".join(parts).lower() + ".json"] = _whole(definition, definitions, ())
    return files


def write(document: Schema, folder: Path) -> int:
    """Write the schemas into the folder, and say how many."""
    folder.mkdir(parents=True, exist_ok=True)
    files = standalone(document)
    for name, schema in files.items():
        (folder / name).write_text(json.dumps(schema))
    return len(files)


def _whole(schema: Schema, definitions: dict[str, Schema], within: tuple[str, ...]) -> Schema:
    """The schema with its references replaced; where a definition contains itself, anything goes."""
    if reference := schema.get("$ref"):
        name = reference.removeprefix(_REFERENCE)
        if name in within:
            return {}
        if name in _NUMBERS_TOO:
            return {"type": ["string", "number"]}
        return _whole(definitions[name], definitions, (*within, name))
    whole: Schema = {key: schema[key] for key in ("type", "enum", "required", "format") if key in schema}
    if properties := schema.get("properties"):
        # A field of null counts as absent.
        whole["properties"] = {
            name: _nullable(_whole(each, definitions, within)) for name, each in properties.items()
        }
        whole["additionalProperties"] = False
    elif isinstance(values := schema.get("additionalProperties"), dict):
        whole["additionalProperties"] = _whole(values, definitions, within)
    if items := schema.get("items"):
        whole["items"] = _whole(items, definitions, within)
    return whole


def _nullable(schema: Schema) -> Schema:
    return schema | {"type": [schema["type"], "null"]} if isinstance(schema.get("type"), str) else schema
