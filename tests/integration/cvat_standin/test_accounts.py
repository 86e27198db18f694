"""Who gets in, and in which workspace."""

from __future__ import annotations

import base64

import cvat_sdk
import pytest
from cvat_sdk.api_client.exceptions import ApiException, UnauthorizedException
from cvat_sdk.core.client import AccessTokenCredentials

from tests.cvat_standin.client import CVAT
from tests.integration.cvat_standin.caller import Caller, tracker


@pytest.mark.parametrize("by", ["password", "token"])
def test_the_sdk_signs_in_and_registers_a_function(cvat: CVAT, by: str) -> None:
    ann = cvat.add_user("ann", email="ann@lab.test")
    with cvat_sdk.Client(cvat.url) as client:
        client.login((ann.username, ann.password) if by == "password" else AccessTokenCredentials(ann.token))
        assert client.users.retrieve_current_user().email == "ann@lab.test"
        client.api_client.call_api("/api/functions", "POST", body=tracker())
        client.logout()
        assert [function.owner for function in cvat.functions()] == ["ann"]
        with pytest.raises(UnauthorizedException):
            client.users.retrieve_current_user()


def test_a_wrong_password_is_refused(cvat: CVAT) -> None:
    cvat.add_user("ann")
    with (
        cvat_sdk.Client(cvat.url) as client,
        pytest.raises(ApiException, match="Unable to log in") as refusal,
    ):
        client.login(("ann", "guess"))
    assert refusal.value.status == 400


def test_a_session_needs_its_csrf_token_to_change_anything(cvat: CVAT) -> None:
    ann = cvat.add_user("ann")
    login = Caller(cvat.url)("POST", "/api/auth/login", {"username": "ann", "password": ann.password})
    cookies = "; ".join(part.split(";")[0] for part in login.headers["Set-Cookie"].split(", "))
    csrf = cookies.partition("csrftoken=")[2].partition(";")[0]
    call = Caller(cvat.url, Cookie=cookies)
    assert call("GET", "/api/users/self").status == 200
    refused = call("POST", "/api/functions", tracker())
    assert (refused.status, refused.json()) == (403, {"detail": "CSRF Failed: CSRF token missing."})
    assert call("POST", "/api/functions", tracker(), X_CSRFToken="other").status == 403
    assert call("POST", "/api/functions", tracker(), X_CSRFToken=csrf).status == 201
    cvat.end_sessions("ann")
    assert call("GET", "/api/users/self").status == 401


def test_nobody_is_told_to_authenticate(cvat: CVAT) -> None:
    answer = Caller(cvat.url)("GET", "/api/functions")
    assert (answer.status, answer.json()) == (
        401,
        {"detail": "Authentication credentials were not provided."},
    )
    assert Caller(cvat.url)("GET", "/api/server/about").json()["version"]


def test_a_revoked_token_is_refused_and_a_new_one_works(cvat: CVAT) -> None:
    ann = cvat.add_user("ann")
    cvat.revoke_tokens("ann")
    refused = Caller(cvat.url, ann.token)("GET", "/api/users/self")
    assert (refused.status, refused.json()) == (401, {"detail": "Invalid token."})
    assert Caller(cvat.url, cvat.add_token("ann"))("GET", "/api/users/self").status == 200


def test_a_read_only_token_changes_nothing(cvat: CVAT) -> None:
    cvat.add_user("ann")
    call = Caller(cvat.url, cvat.add_token("ann", read_only=True))
    assert call("GET", "/api/functions").status == 200
    assert call("POST", "/api/functions", tracker()).status == 403
    assert cvat.functions() == []


def test_a_user_makes_sees_and_revokes_tokens(cvat: CVAT) -> None:
    ann = cvat.add_user("ann")
    call = Caller(cvat.url, ann.token)
    made = call("POST", "/api/auth/access_tokens", {"name": "agent", "expiry_date": "2100-01-01T00:00:00Z"})
    other = Caller(cvat.url, made.json()["value"])
    assert other("GET", "/api/auth/access_tokens/self").json()["name"] == "agent"
    listed = call("GET", "/api/auth/access_tokens").json()["results"]
    assert [token["name"] for token in listed] == ["agent", "token"]
    assert not any("value" in token for token in listed)
    assert call("DELETE", f"/api/auth/access_tokens/{made.json()['id']}").status == 204
    assert other("GET", "/api/users/self").status == 401


def test_a_token_expires_with_the_servers_clock(cvat: CVAT) -> None:
    ann = cvat.add_user("ann")
    call = Caller(cvat.url, ann.token)
    made = call("POST", "/api/auth/access_tokens", {"name": "agent", "expiry_date": "2100-01-01T00:00:00Z"})
    other = Caller(cvat.url, made.json()["value"])
    assert other("GET", "/api/users/self").status == 200
    cvat.advance(100 * 366 * 24 * 3600)
    assert other("GET", "/api/users/self").status == 401


def test_basic_authentication_and_api_keys_work_too(cvat: CVAT) -> None:
    ann = cvat.add_user("ann")
    basic = base64.b64encode(f"ann:{ann.password}".encode()).decode()
    assert Caller(cvat.url, Authorization=f"Basic {basic}")("GET", "/api/users/self").status == 200
    assert Caller(cvat.url, Authorization="Basic YW5uOm5v")("GET", "/api/users/self").status == 401
    key = Caller(cvat.url)("POST", "/api/auth/login", {"username": "ann", "password": ann.password}).json()[
        "key"
    ]
    assert Caller(cvat.url, Authorization=f"Token {key}")("GET", "/api/users/self").status == 200


def test_a_new_password_ends_sessions_and_an_inactive_user_is_out(cvat: CVAT) -> None:
    ann = cvat.add_user("ann")
    with cvat_sdk.Client(cvat.url) as client:
        client.login((ann.username, ann.password))
        cvat.set_password("ann", "changed")
        with pytest.raises(UnauthorizedException):
            client.users.retrieve_current_user()
    cvat.set_active("ann", active=False)
    answer = Caller(cvat.url, ann.token)("GET", "/api/users/self")
    assert (answer.status, answer.json()) == (401, {"detail": "User inactive or deleted."})


@pytest.mark.parametrize("path", ["/api/functions", "/api/users/self", "/api/functions/1"])
def test_an_unknown_organization_is_named(cvat: CVAT, path: str) -> None:
    call = Caller(cvat.url, cvat.add_user("ann").token, X_Organization="nowhere")
    answer = call("GET", path)
    assert (answer.status, answer.json()) == (404, {"detail": "nowhere organization does not exist."})
    assert answer.headers["Content-Type"] == "application/vnd.cvat+json"


def test_an_organization_is_for_its_members(cvat: CVAT) -> None:
    ann, bob = cvat.add_user("ann"), cvat.add_user("bob")
    cvat.add_organization("lab", "ann")
    call = Caller(cvat.url, bob.token, X_Organization="lab")
    answer = call("GET", "/api/functions")
    assert answer.status == 403
    assert answer.json() == {"message": "You should be an active member in the organization"}
    cvat.set_member("lab", "bob")
    assert call("GET", "/api/functions").status == 200
    cvat.remove_member("lab", "bob")
    assert call("GET", "/api/functions").status == 403
    assert Caller(cvat.url, ann.token)("GET", "/api/organizations?slug=lab").json()["count"] == 1


def test_header_and_query_must_agree_on_the_organization(cvat: CVAT) -> None:
    ann = cvat.add_user("ann")
    lab = cvat.add_organization("lab", "ann")
    call = Caller(cvat.url, ann.token, X_Organization="lab")
    assert call("GET", "/api/functions?org=lab").status == 200
    assert call("GET", "/api/functions?org=other").status == 400
    assert call("GET", f"/api/functions?org_id={lab}").status == 400
    assert Caller(cvat.url, ann.token)("GET", f"/api/functions?org_id={lab}").status == 200
    assert Caller(cvat.url, ann.token)("GET", "/api/functions?org_id=99").status == 404


def test_a_user_makes_an_organization(cvat: CVAT) -> None:
    ann = cvat.add_user("ann")
    call = Caller(cvat.url, ann.token)
    assert call("POST", "/api/organizations", {"slug": "lab"}).json()["owner"]["username"] == "ann"
    assert call("POST", "/api/organizations", {"slug": "lab"}).status == 400
    assert call("POST", "/api/organizations", {"slug": "no spaces"}).status == 400
    assert call("GET", "/api/functions", X_Organization="lab").status == 200
