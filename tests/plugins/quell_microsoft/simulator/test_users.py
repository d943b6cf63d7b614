"""Users and identity accounts: disabling, sessions, admins, and what directory sync undoes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator

SELECT = {"$select": "id,userPrincipalName,accountEnabled,onPremisesSyncEnabled,userType"}


@pytest.fixture
def people(simulator: RunningSimulator) -> dict[str, str]:
    users = simulator.tenant.users
    return {
        "cloud": users.add({"userPrincipalName": "cloud@tailspin.example"}).body["id"],
        "synced": users.add(
            {
                "userPrincipalName": "synced@tailspin.example",
                "onPremisesSyncEnabled": True,
                "onPremisesSecurityIdentifier": "S-1-5-21-1-2-3-1100",
            }
        ).body["id"],
        "admin": users.add(
            {"userPrincipalName": "admin@tailspin.example"}, admin_roles=("Global Administrator",)
        ).body["id"],
        "guest": users.add(
            {"userPrincipalName": "g#EXT#@tailspin.example", "userType": "Guest"}
        ).body["id"],
    }


def fact(control: httpx.Client, user_id: str) -> dict[str, Any]:
    users = control.get("/facts").json()["users"]
    found: dict[str, Any] = next(user for user in users if user["id"] == user_id)
    return found


def test_a_cloud_user_is_disabled_and_enabled_again(
    graph: httpx.Client, control: httpx.Client, people: dict[str, str]
) -> None:
    # given
    url = "/v1.0/users/Cloud@tailspin.example"

    # when
    answers = [graph.patch(url, json={"accountEnabled": value}) for value in (False, False, True)]

    # then
    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 3
    assert graph.get(url, params=SELECT).json()["accountEnabled"] is True
    assert fact(control, people["cloud"])["effects"] == {"disable": 2, "enable": 1}


def test_a_synced_user_is_mastered_elsewhere_unless_the_knob_says_otherwise(
    graph: httpx.Client, control: httpx.Client, people: dict[str, str]
) -> None:
    # given
    url = f"/v1.0/users/{people['synced']}"

    # when
    refused = graph.patch(url, json={"accountEnabled": False})
    control.patch("/config", json={"synced_users_writable": True})
    accepted = graph.patch(url, json={"accountEnabled": False})
    disabled = graph.get(url, params=SELECT).json()["accountEnabled"]
    control.post("/clock/advance", json={"seconds": 1900})
    after_sync = graph.get(url, params=SELECT).json()["accountEnabled"]

    # then
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "Request_BadRequest"
    assert accepted.status_code == 204
    assert (disabled, after_sync) == (False, True)


def test_disabling_in_active_directory_reaches_entra_with_the_next_sync(
    graph: httpx.Client, control: httpx.Client, people: dict[str, str]
) -> None:
    # given
    listed = graph.get(
        "/v1.0/security/identities/identityAccounts",
        params={"$filter": "onPremisesSecurityIdentifier eq 'S-1-5-21-1-2-3-1100'"},
    ).json()["value"]
    account = listed[0]
    url = f"/v1.0/security/identities/identityAccounts/{account['id']}/invokeAction"
    body = {"accountId": "S-1", "action": "disable", "identityProvider": "activeDirectory"}

    # when
    done = graph.post(url, json=body)
    refused = graph.post(url, json={**body, "identityProvider": "entraID"})
    control.post("/clock/advance", json={"seconds": 1900})

    # then
    assert done.json()["value"]["action"] == "disable"
    assert refused.status_code == 400
    offered = {item["identityProvider"]: item["actions"] for item in account["accounts"]}
    assert "disable" in offered["activeDirectory"]
    assert offered["entraID"] == []
    assert fact(control, people["synced"])["accountEnabled"] is False
    assert fact(control, people["synced"])["effects"] == {"ad_disable": 1}


def test_an_admin_is_out_of_reach_and_can_be_told_as_one(
    graph: httpx.Client, people: dict[str, str]
) -> None:
    # given
    url = f"/v1.0/users/{people['admin']}"

    # when
    refused = graph.patch(url, json={"accountEnabled": False})
    roles = graph.get(f"{url}/transitiveMemberOf/microsoft.graph.directoryRole").json()["value"]

    # then
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "Authorization_RequestDenied"
    assert [role["displayName"] for role in roles] == ["Global Administrator"]


def test_ending_sessions_shows_except_for_guests(
    graph: httpx.Client, control: httpx.Client, people: dict[str, str]
) -> None:
    # given
    before = {name: fact(control, user_id) for name, user_id in people.items()}

    # when
    answers = [
        graph.post(f"/v1.0/users/{people[name]}/revokeSignInSessions")
        for name in ("cloud", "guest")
    ]

    # then
    stamp = "signInSessionsValidFromDateTime"
    assert [answer.json()["value"] for answer in answers] == [True, True]
    assert fact(control, people["cloud"])[stamp] > before["cloud"][stamp]
    assert fact(control, people["guest"])[stamp] == before["guest"][stamp]


@pytest.mark.parametrize(
    "body", [{"accountEnabled": "no"}, {"unheardOf": 1}, {"userPrincipalName": "x@y.example"}]
)
def test_a_wrong_change_of_a_user_is_refused(
    graph: httpx.Client, people: dict[str, str], body: dict[str, Any]
) -> None:
    # when
    answer = graph.patch(f"/v1.0/users/{people['cloud']}", json=body)

    # then
    assert answer.status_code == 400


def test_users_are_found_by_filter_and_show_little_without_select(
    graph: httpx.Client, people: dict[str, str], as_app: Callable[[str, str], httpx.Client]
) -> None:
    # when
    found = graph.get(
        "/v1.0/users", params={"$filter": "onPremisesSecurityIdentifier eq 'S-1-5-21-1-2-3-1100'"}
    ).json()["value"]
    plain = graph.get(f"/v1.0/users/{people['cloud']}").json()
    missing = graph.get("/v1.0/users/nobody@tailspin.example")
    by_user_app = as_app("user", "graph").patch(
        f"/v1.0/users/{people['cloud']}", json={"accountEnabled": False}
    )

    # then
    assert [user["id"] for user in found] == [people["synced"]]
    assert "accountEnabled" not in plain
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "Request_ResourceNotFound"
    assert by_user_app.status_code == 204
