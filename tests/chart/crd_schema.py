"""``python -m tests.chart.crd_schema FOLDER``: the CRD as JSON schemas that kubeconform reads.

They are strict, as kubectl's validation is: a field that the CRD does not know is an error. CEL rules are for
the API server.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import places


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, with unknown fields refused wherever it names the known ones."""
    tightened = {key: value for key, value in schema.items() if key != "x-kubernetes-validations"}
    if properties := schema.get("properties"):
        tightened["properties"] = {name: strict(each) for name, each in properties.items()}
        tightened["additionalProperties"] = False
    if items := schema.get("items"):
        tightened["items"] = strict(items)
    return tightened


def write(folder: Path) -> None:
    """Write ``<group>/<kind>_<version>.json`` for each version of each CRD of the project."""
    for path in (places.REPOSITORY / "crds").glob("*.yaml"):
        spec = yaml.safe_load(path.read_text())["spec"]
        for version in spec["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
            schema["properties"]["metadata"] = {"type": "object"}
            target = folder / spec["group"] / f"{spec['names']['kind'].lower()}_{version['name']}.json"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(schema))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
