"""What values the chart takes, refuses and documents."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.chart.helm import CHART, Helm

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("nonsense", 1, "additional properties 'nonsense' not allowed"),
        ("redis__nonsense", 1, "additional properties 'nonsense' not allowed"),
        ("operator__image__nonsense", 1, "additional properties 'nonsense' not allowed"),
        ("redis__enabled", "yes", "at '/redis/enabled': got string, want boolean"),
        ("redis__maxMemoryPercent", 95, "at '/redis/maxMemoryPercent': maximum: got 95, want 80"),
        (
            "redis__resources",
            {"limits": {"memory": None}},
            "at '/redis/resources/limits': missing property 'memory'",
        ),
        (
            "redis__resources__limits__memory",
            "lots",
            "at '/redis/resources/limits/memory': 'lots' does not match",
        ),
        ("redis__persistence__size", 0, "at '/redis/persistence/size': got number, want string"),
        ("redis__url", "redis.example:6379", "at '/redis/url'"),
        ("redis__url", "redis://redis.example", "redis.enabled is true: set redis.enabled=false"),
        ("redis__enabled", False, "redis.enabled is false: set redis.url, or redis.existingSecret"),
        ("redis__caSecret", "ca", "set redis.enabled=false, or remove redis.caSecret"),
        ("redis", {"enabled": False, "url": "redis://a", "existingSecret": "b"}, "set one of them"),
        ("redis__image__tag", "", "redis.image has neither a tag nor a digest: set redis.image.tag"),
        ("operator__image__repository", "Not a name", "at '/operator/image/repository'"),
        ("operator__image__digest", "md5:0", "at '/operator/image/digest'"),
        ("operator__image__pullPolicy", "Sometimes", "must be one of 'Always', 'IfNotPresent', 'Never'"),
        ("operator__logLevel", "loud", "must be one of 'debug', 'info', 'warning', 'error'"),
        ("operator__env", [{"name": "SAM2_OPERATOR_NAMESPACES", "value": "x"}], "at '/operator/env/0/name'"),
        ("namespaces", ["Team A"], "at '/namespaces/0': 'Team A' does not match"),
        ("namespaces", "team-a", "at '/namespaces': got string, want array"),
        ("namespaces", ["a", "a"], "items at 0 and 1 are equal"),
        ("uninstall__timeoutSeconds", 1, "minimum: got 1, want 30"),
        ("crds__apply", None, "at '/crds': missing property 'apply'"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(helm: Helm, path: str, value: object, sentence: str) -> None:
    assert sentence in helm.refusal(**{path: value})


def test_a_password_in_the_url_is_refused_and_not_repeated(helm: Helm) -> None:
    refusal = helm.refusal(redis={"enabled": False, "url": "redis://me:hunter2@redis.example"})

    assert "redis.url holds a password" in refusal
    assert "redis.existingSecret" in refusal
    assert "hunter2" not in refusal


@pytest.mark.parametrize(
    ("limit", "percent", "maximum"),
    [("2Gi", 60, 1288490188), ("1500M", 50, 750000000), ("1.5Gi", 80, 1288490188), ("900000k", 10, 90000000)],
)
def test_redis_s_maxmemory_stays_below_the_container_s_limit(
    helm: Helm, limit: str, percent: int, maximum: int
) -> None:
    rendered = helm.template(redis__resources__limits__memory=limit, redis__maxMemoryPercent=percent)

    configuration = rendered.one("ConfigMap", "sam2-tracker-redis")["data"]["redis.conf"]
    assert f"\nmaxmemory {maximum}\n" in configuration


def test_the_schema_knows_every_value_and_nothing_else() -> None:
    assert set(_paths_of_schema(SCHEMA)) - {"global"} == set(_paths_of_values(VALUES))


def test_every_value_is_documented() -> None:
    """A comment stands above each value, or above the value that it is a part of."""
    documented = set(_commented_paths())

    assert not [path for path in _paths_of_values(VALUES) if not documented & {path, path.rpartition(".")[0]}]


def _paths_of_values(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value and key not in {"requests", "limits"}:
            yield from _paths_of_values(value, f"{path}.")
        else:
            yield path


def _paths_of_schema(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, child in schema["properties"].items():
        path = f"{prefix}{key}"
        resolved = {**_definition(child), **child}
        properties = {**_definition(child).get("properties", {}), **child.get("properties", {})}
        if properties and key not in {"requests", "limits"}:
            yield from _paths_of_schema({**resolved, "properties": properties}, f"{path}.")
        else:
            yield path


def _definition(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    definition: dict[str, Any] = SCHEMA["$defs"].get(name, {})
    return definition


def _commented_paths() -> Iterator[str]:
    """The paths of values.yaml that have a comment right above them."""
    above: list[tuple[int, str]] = []
    commented = False
    for line in (CHART / "values.yaml").read_text().splitlines():
        if found := re.match(r"( *)(\w+):", line):
            indent = len(found[1])
            above = [*(each for each in above if each[0] < indent), (indent, found[2])]
            if commented:
                yield ".".join(name for _, name in above)
        commented = line.lstrip().startswith("#")
