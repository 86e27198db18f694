"""The rights that docs/operator.md tells of are those that the chart gives, none by a wildcard."""

from __future__ import annotations

import re
from itertools import product

import pytest

from tests.chart.helm import Helm, Manifest, Rendered
from tests.cluster.places import REPOSITORY

Right = tuple[str, str, str]
"""API group, resource, verb."""

OPERATOR = "sam2-tracker-operator"


def told() -> set[Right]:
    """The rights in the table; a row without a resource is about that of the row above."""
    page = (REPOSITORY / "docs" / "operator.md").read_text()
    section = page.split("## Rights", 1)[1].split("\n\n", 3)[2]
    rights: set[Right] = set()
    resources: list[str] = []
    for row in section.splitlines()[2:]:
        _, names, verbs, _, _ = re.split(r" *\| ?", row)
        resources = re.findall(r"`([^`]+)`", names) or resources
        for name, verb in product(resources, verbs.split(", ")):
            path, _, subresource = name.partition("/")
            resource, _, group = path.partition(".")
            rights.add((group, f"{resource}/{subresource}".rstrip("/"), verb.strip()))
    return rights


def given(role: Manifest) -> set[Right]:
    return {
        right
        for rule in role["rules"]
        for right in product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }


def test_the_table_tells_the_operators_rights(defaults: Rendered) -> None:
    assert told() == given(defaults.one("ClusterRole", f"{OPERATOR}:cvat"))


def test_with_namespaces_they_are_the_same_in_each_and_there_is_no_other(helm: Helm) -> None:
    rendered = helm.template(namespaces=["one", "two"], rbac__aggregateToDefaultRoles=False)
    roles = [each for each in rendered.of_kind("Role") if each["metadata"]["name"] == OPERATOR]
    assert {each["metadata"]["namespace"] for each in roles} == {"one", "two"}
    assert all(given(each) == told() for each in roles)
    assert not [
        each["metadata"]["name"]
        for each in rendered.of_kind("ClusterRole")
        if "helm.sh/hook" not in each["metadata"].get("annotations", {})
    ]


def test_nothing_is_granted_by_a_wildcard(rendered: Rendered) -> None:
    for role in rendered.of_kind("ClusterRole", "Role"):
        assert "*" not in {part for right in given(role) for part in right}, role["metadata"]["name"]


@pytest.mark.parametrize("verb", ["list", "watch", "deletecollection", "update"])
def test_secrets_are_only_ever_read_by_name(rendered: Rendered, verb: str) -> None:
    rights = {right for role in rendered.of_kind("ClusterRole", "Role") for right in given(role)}
    assert ("", "secrets", verb) not in rights
    assert not {each for each in rights if each[1] in {"pods/exec", "serviceaccounts/token", "roles"}}


def test_the_operator_can_make_itself_no_more_powerful(defaults: Rendered) -> None:
    """It makes no pods; what it makes pods with has an account without rights."""
    rights = given(defaults.one("ClusterRole", f"{OPERATOR}:cvat"))
    assert not {each for each in rights if each[0] == "rbac.authorization.k8s.io"}
    assert {verb for _, resource, verb in rights if resource == "pods"} == {"get", "delete"}
