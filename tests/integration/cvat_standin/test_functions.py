"""Functions: register, list, find, delete, and their absence."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.cvat_standin.client import CVAT
from tests.integration.cvat_standin.caller import Caller, tracker


@pytest.fixture
def call(cvat: CVAT) -> Caller:
    return Caller(cvat.url, cvat.add_user("ann").token)


def listed(call: Caller, query: str = "") -> list[str]:
    answer = call("GET", f"/api/functions{query}")
    assert answer.status == 200, answer
    return [function["name"] for function in answer.json()["results"]]


def test_a_function_posted_twice_is_there_twice(cvat: CVAT, call: Caller) -> None:
    first = call("POST", "/api/functions", tracker("SAM2"))
    second = call("POST", "/api/functions", tracker("SAM2"))
    assert first.status == second.status == 201
    assert second.json()["id"] > first.json()["id"]
    assert first.json() | {"id": 0} == {
        "id": 0,
        "provider": "native",
        "name": "SAM2",
        "kind": "tracker",
        "labels_v2": [],
        "supported_shape_types": ["mask", "polygon"],
        "created_date": first.json()["created_date"],
        "updated_date": first.json()["created_date"],
        "owner": {
            "url": f"{cvat.url}/api/users/1",
            "id": 1,
            "username": "ann",
            "first_name": "",
            "last_name": "",
        },
        "organization": None,
        "visibility": "private",
    }


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"provider": None}, "provider"),
        ({"name": "x" * 129}, "name"),
        ({"kind": "guesser"}, "kind"),
        ({"supported_shape_types": ["blob"]}, "supported_shape_types"),
        ({"supported_shape_types": []}, "supported_shape_types"),
        ({"visibility": "secret"}, "visibility"),
    ],
)
def test_a_wrong_field_is_named(cvat: CVAT, call: Caller, wrong: dict[str, object], field: str) -> None:
    answer = call("POST", "/api/functions", tracker() | wrong)
    assert answer.status == 400
    assert list(answer.json()) == [field]
    assert cvat.functions() == []


def test_lists_come_in_pages_newest_first(cvat: CVAT, call: Caller) -> None:
    for index in range(23):
        call.create_function(f"f{index}")
    first = call("GET", "/api/functions").json()
    assert (first["count"], first["previous"]) == (23, None)
    assert [item["name"] for item in first["results"]] == [f"f{index}" for index in range(22, 12, -1)]
    path = first["next"].removeprefix(cvat.url)
    assert path == "/api/functions?page=2"
    assert call("GET", path).json()["previous"] == f"{cvat.url}/api/functions?page=1"
    assert listed(call, "?page=3") == ["f2", "f1", "f0"]
    assert listed(call, "?page_size=2&page=2&sort=id") == ["f2", "f3"]
    beyond = call("GET", "/api/functions?page=4")
    assert (beyond.status, beyond.json()) == (404, {"detail": "Invalid page."})


def test_search_and_filter_find_functions(cvat: CVAT, call: Caller) -> None:
    bob = Caller(cvat.url, cvat.add_user("bob").token)
    call.create_function("Sam tracker")
    call.create_function("Other tracker")
    bob.create_function("Sam tracker", visibility="public")
    assert listed(call, "?search=sam") == ["Sam tracker", "Sam tracker"]
    assert listed(call, "?search=sam+bob") == ["Sam tracker"]
    mine = {"and": [{"==": [{"var": "owner"}, "ann"]}, {"==": [{"var": "name"}, "Sam tracker"]}]}
    answer = call("GET", f"/api/functions?filter={quote(json.dumps(mine))}").json()
    assert [(item["id"], item["owner"]["username"]) for item in answer["results"]] == [(1, "ann")]
    above = quote(json.dumps({"or": [{">": [{"var": "id"}, 2]}, {"!": [{"<=": [1, 1]}]}]}))
    assert [item["id"] for item in call("GET", f"/api/functions?filter={above}").json()["results"]] == [3]
    for nonsense in ("{", '{"==": [{"var": "colour"}, 1]}', '{"xor": [1, 2]}', '{">": [{"var": "id"}, "x"]}'):
        assert call("GET", f"/api/functions?filter={quote(nonsense)}").status == 400


def test_lists_hold_what_is_in_the_workspace(cvat: CVAT, call: Caller) -> None:
    cvat.add_organization("lab", "ann")
    call.create_function("personal")
    lab = Caller(cvat.url, "token-of-ann", X_Organization="lab")
    lab.create_function("shared")
    assert listed(call) == ["shared", "personal"]
    assert listed(lab) == ["shared"]
    assert listed(call, "?org=lab") == ["shared"]
    assert listed(call, "?org=") == ["personal"]
    assert [function.organization for function in cvat.functions()] == [None, "lab"]


def test_a_private_function_is_its_owners_alone(cvat: CVAT, call: Caller) -> None:
    bob = Caller(cvat.url, cvat.add_user("bob").token)
    private, public = call.create_function("private"), call.create_function("public", visibility="public")
    assert listed(bob) == ["public"]
    denied = bob("GET", f"/api/functions/{private}")
    assert (denied.status, denied.json()) == (
        403,
        {"detail": "You do not have permission to perform this action."},
    )
    assert bob("GET", f"/api/functions/{public}").status == 200
    assert bob("DELETE", f"/api/functions/{public}").status == 403
    body = {"agent_id": "thief", "request_category": "interactive"}
    assert bob("POST", f"/api/functions/queues/function:{public}/requests/acquire", body).status == 403
    root = Caller(cvat.url, cvat.add_user("root", superuser=True).token)
    assert listed(root) == ["public", "private"]


def test_members_share_an_organizations_function_and_maintainers_serve_it(cvat: CVAT, call: Caller) -> None:
    worker, maintainer = cvat.add_user("worker"), cvat.add_user("maintainer")
    cvat.add_organization("lab", "ann", {"worker": "worker", "maintainer": "maintainer"})
    function = call("POST", "/api/functions", tracker(), X_Organization="lab").json()["id"]
    body = {"agent_id": "a", "request_category": "batch"}
    acquire = f"/api/functions/queues/function:{function}/requests/acquire"
    assert Caller(cvat.url, worker.token)("GET", f"/api/functions/{function}").status == 200
    assert Caller(cvat.url, worker.token)("POST", acquire, body).status == 403
    assert Caller(cvat.url, maintainer.token)("POST", acquire, body).status == 200


def test_a_deleted_function_is_gone_as_json(call: Caller) -> None:
    function = call.create_function()
    assert call("PATCH", f"/api/functions/{function}", {"name": "new"}).status == 405
    assert call("DELETE", f"/api/functions/{function}").status == 204
    body = {"agent_id": "a", "request_category": "interactive"}
    for answer in (
        call("GET", f"/api/functions/{function}"),
        call("DELETE", f"/api/functions/{function}"),
        call("POST", f"/api/functions/queues/function:{function}/requests/acquire", body),
        call("GET", f"/api/functions/queues/function:{function}/watch"),
    ):
        assert (answer.status, answer.json()) == (404, {"detail": "No Function matches the given query."})
    assert call.create_function() > function


def test_what_is_no_path_of_cvat_is_answered_as_django_does(call: Caller) -> None:
    answer = call("GET", "/api/nothing")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")


def test_lists_may_lack_new_functions_for_a_time(cvat: CVAT, call: Caller) -> None:
    call.create_function("old")
    cvat.list_late(30)
    late = call.create_function("late")
    assert listed(call) == ["old"]
    assert call("GET", f"/api/functions/{late}").status == 200
    cvat.advance(31)
    assert listed(call) == ["late", "old"]


def test_lists_may_lack_new_functions_until_released(cvat: CVAT, call: Caller) -> None:
    cvat.list_late()
    call.create_function("late")
    cvat.advance(1_000_000)
    assert listed(call) == []
    assert [function.listed for function in cvat.functions()] == [False]
    cvat.release_lists()
    call.create_function("prompt")
    assert listed(call) == ["prompt", "late"]


def test_the_server_may_forget_a_function(cvat: CVAT, call: Caller) -> None:
    function = call.create_function()
    cvat.forget_function(function)
    assert call("GET", f"/api/functions/{function}").status == 404
    assert listed(call) == []
    cvat.restore_function(function)
    assert call("GET", f"/api/functions/{function}").status == 200
