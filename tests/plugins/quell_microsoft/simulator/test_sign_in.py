"""Signing in to the simulated tenant: who gets a token, and what a token opens."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator
from quell_microsoft.simulator.tokens import issue

GRAPH = "https://graph.microsoft.com"


@pytest.fixture
def anonymous(simulator: RunningSimulator) -> httpx.Client:
    return httpx.Client(base_url=simulator.base_url, verify=simulator.ssl_context)


def ask(simulator: RunningSimulator, client: httpx.Client, **changes: str) -> httpx.Response:
    app = simulator.tenant.registrations["reader"]
    form = {
        "grant_type": "client_credentials",
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        "scope": f"{GRAPH}/.default",
    }
    with client:
        return client.post(
            f"/{simulator.tenant.tenant_id}/oauth2/v2.0/token", data={**form, **changes}
        )


@pytest.mark.parametrize(
    ("changes", "status", "number"),
    [
        ({"client_secret": "wrong"}, 401, 7000215),
        ({"client_id": "nobody"}, 400, 700016),
        ({"scope": f"{GRAPH}/.default https://management.azure.com/.default"}, 400, 70011),
        ({"scope": "https://unknown.example/.default"}, 400, 500011),
        ({"grant_type": "password"}, 400, 70003),
        ({"client_secret": ""}, 401, 7000218),
    ],
)
def test_a_bad_request_for_a_token_gets_entras_number_for_it(
    simulator: RunningSimulator,
    anonymous: httpx.Client,
    changes: dict[str, str],
    status: int,
    number: int,
) -> None:
    # when
    answer = ask(simulator, anonymous, **changes)

    # then
    assert answer.status_code == status
    body = answer.json()
    assert body["error_codes"] == [number]
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert {"error", "timestamp", "trace_id", "correlation_id", "error_uri"} <= set(body)


def test_another_tenant_is_unknown_here(
    simulator: RunningSimulator, anonymous: httpx.Client
) -> None:
    # when
    with anonymous:
        token = anonymous.post("/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token")
        discovery = anonymous.get("/other.example/v2.0/.well-known/openid-configuration")

    # then
    assert token.json()["error_codes"] == [90002]
    assert discovery.status_code == 400
    assert simulator.is_alive


def test_discovery_leads_back_to_the_simulator(
    simulator: RunningSimulator, anonymous: httpx.Client
) -> None:
    # when
    with anonymous:
        found = anonymous.get(
            f"/{simulator.tenant.tenant_id}/v2.0/.well-known/openid-configuration"
        ).json()

    # then
    for name in ("token_endpoint", "authorization_endpoint", "issuer"):
        assert found[name].startswith(simulator.base_url)


def test_an_expired_or_forged_token_opens_nothing(
    simulator: RunningSimulator, anonymous: httpx.Client
) -> None:
    # given
    tenant = simulator.tenant
    app = tenant.registrations["everything"]
    expired = issue(tenant, app, GRAPH, now=time.time() - 7200)
    good = issue(tenant, app, GRAPH)
    forged = good[:-4] + ("AAAA" if not good.endswith("AAAA") else "BBBB")

    # when
    with anonymous:
        answers = [
            anonymous.get("/v1.0/security/incidents", headers={"Authorization": value})
            for value in (f"Bearer {expired}", f"Bearer {forged}", "Basic x", "Bearer a.b")
        ]
        answers.append(anonymous.get("/v1.0/security/incidents"))

    # then
    assert [answer.status_code for answer in answers] == [401] * 5
    codes = {answer.json()["error"]["code"] for answer in answers}
    assert codes == {"InvalidAuthenticationToken"}


@pytest.mark.parametrize(
    ("api", "path", "code"),
    [
        ("endpoint", "/v1.0/security/incidents", "InvalidAuthenticationToken"),
        ("graph", "/api/machines", "Unauthorized"),
        ("graph", "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights"
         "/workspaces/w/providers/Microsoft.SecurityInsights/incidents",
         "InvalidAuthenticationToken"),
    ],
)  # fmt: skip
def test_a_token_for_one_api_does_not_open_another(
    as_app: Callable[[str, str], httpx.Client], api: str, path: str, code: str
) -> None:
    # when
    answer = as_app("everything", api).get(path)

    # then
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("role", "api", "method", "path", "code"),
    [
        ("reader", "graph", "PATCH", "/v1.0/security/incidents/1", "Authorization_RequestDenied"),
        ("sync", "graph", "GET", "/v1.0/users", "Authorization_RequestDenied"),
        ("user", "graph", "GET", "/v1.0/security/incidents", "Authorization_RequestDenied"),
        ("reader", "endpoint", "POST", "/api/machines/1/isolate", "Forbidden"),
        ("nothing", "endpoint", "GET", "/api/machines", "Forbidden"),
    ],
)
def test_an_app_without_the_permission_is_told_so_in_that_apis_words(
    as_app: Callable[[str, str], httpx.Client],
    role: str,
    api: str,
    method: str,
    path: str,
    code: str,
) -> None:
    # when
    answer = as_app(role, api).request(method, path, json={})

    # then
    assert answer.status_code == 403
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == code
    assert ("target" in error) == (api == "endpoint")


def test_a_managed_identity_needs_its_header(
    simulator: RunningSimulator, anonymous: httpx.Client
) -> None:
    # when
    with anonymous:
        path = f"/metadata/identity/oauth2/token?api-version=2018-02-01&resource={GRAPH}"
        without = anonymous.get(path)
        with_it = anonymous.get(path, headers={"Metadata": "true"})

    # then
    assert without.status_code == 400
    assert with_it.json()["token_type"] == "Bearer"
    assert simulator.is_alive


def test_grants_and_secrets_can_be_taken_away(
    simulator: RunningSimulator,
    control: httpx.Client,
    anonymous: httpx.Client,
    as_app: Callable[[str, str], httpx.Client],
) -> None:
    # given
    reader = as_app("reader", "graph")

    # when
    control.patch("/apps/reader", json={"grants": {"graph": []}, "secretExpired": True})
    refused = reader.get("/v1.0/security/incidents")
    expired = ask(simulator, anonymous)

    # then
    assert refused.status_code == 403
    assert expired.json()["error_codes"] == [7000222]


def test_the_services_clock_can_be_wrong(
    simulator: RunningSimulator, control: httpx.Client, anonymous: httpx.Client
) -> None:
    # given
    control.patch("/config", json={"clock_skew_seconds": 3600})

    # when
    answer = ask(simulator, anonymous)

    # then
    told = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    assert told - time.time() > 3000
    assert answer.status_code == 200
