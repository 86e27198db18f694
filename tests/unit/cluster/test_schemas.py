from typing import Any

import jsonschema
import pytest

from tests.cluster.schemas import standalone

DOCUMENT: dict[str, Any] = {
    "definitions": {
        "io.k8s.Gadget": {
            "type": "object",
            "x-kubernetes-group-version-kind": [{"group": "toys.k8s.io", "version": "v1", "kind": "Gadget"}],
            "properties": {
                "port": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.util.intstr.IntOrString"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "tree": {"$ref": "#/definitions/io.k8s.Tree"},
            },
        },
        "io.k8s.Tree": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string"},
                "branches": {"type": "array", "items": {"$ref": "#/definitions/io.k8s.Tree"}},
            },
        },
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": "string", "format": "int-or-string"},
    }
}


def check(gadget: dict[str, Any]) -> None:
    jsonschema.validate(gadget, standalone(DOCUMENT)["gadget-toys-v1.json"])


@pytest.mark.parametrize(
    "gadget",
    [
        {},
        {"port": 80},
        {"port": "http"},
        {"labels": {"a": "b"}},
        {"labels": None},
        {"tree": {"name": "oak", "branches": [{"name": "twig"}]}},
    ],
)
def test_what_the_kind_allows_is_valid(gadget: dict[str, Any]) -> None:
    check(gadget)


@pytest.mark.parametrize(
    "gadget",
    [
        {"prot": 80},
        {"port": True},
        {"labels": {"a": 1}},
        {"tree": {}},
        {"tree": {"name": "oak", "leaves": 3}},
    ],
)
def test_what_it_does_not_know_or_allow_is_an_error(gadget: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check(gadget)
