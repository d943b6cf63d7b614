"""Whatever a client sends, the tenant answers in its own words and does not stumble."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.config import SimulatorConfig
from quell_microsoft.simulator.dispatch import Dispatcher
from quell_microsoft.simulator.routes import all_operations
from quell_microsoft.simulator.state.tenant import Tenant
from quell_microsoft.simulator.story import create_story
from quell_microsoft.simulator.tokens import issue
from quell_microsoft.simulator.wire import Api

RESOURCES = {
    Api.GRAPH: "https://graph.microsoft.com",
    Api.ENDPOINT: "https://api.securitycenter.microsoft.com",
    Api.ARM: "https://management.azure.com",
    Api.INGESTION: "https://monitor.azure.com",
    Api.LOGS: "https://api.loganalytics.io",
}
WRITES = [
    operation
    for operation in all_operations()
    if operation.api in RESOURCES and operation.method not in ("GET", "DELETE")
]
names = st.sampled_from(
    ["status", "severity", "comment", "customTags", "incidentIds", "alertIds", "Comment", "Sha1",
     "IsolationType", "accountEnabled", "action", "accountId", "analyzedEmails", "displayName",
     "properties", "etag", "title", "message", "relatedResourceId", "labels", "owner", "Query",
     "requests", "id", "url", "method", "headers", "body", "identityProvider"]
)  # fmt: skip
words = st.sampled_from(
    ["resolved", "high", "Full", "New", "x", "\ud800", "1001", "softDelete", ""]
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), words),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def dispatcher() -> Dispatcher:
    tenant = Tenant(SimulatorConfig(throttle_scale=0))
    create_story(tenant)
    properties = {"title": "T", "severity": "Low", "status": "New"}
    tenant.workspaces[0].create("i1", properties, by="x")
    return Dispatcher(tenant, all_operations())


def call(dispatcher: Dispatcher, operation: Operation, content: bytes) -> Call:
    tenant = dispatcher.tenant
    known = {
        "subscription": tenant.subscription_id,
        "group": "rg-soc",
        "workspace": tenant.workspaces[0].guid if operation.api is Api.LOGS else "ws-soc",
        "incident": "i1",
        "incident_id": "1001",
        "alert_id": next(iter(tenant.queue.alerts)),
        "machine_id": next(iter(tenant.devices.machines)),
        "user_id": next(iter(tenant.users.users)),
        "rule": tenant.dcr_immutable_id,
    }
    path = re.sub(r"\{(\w+)\}", lambda match: known.get(match[1], "c1"), operation.template)
    token = issue(tenant, tenant.registrations["everything"], RESOURCES[operation.api])
    return Call(
        tenant=tenant,
        method=operation.method,
        path=path,
        query={"api-version": "2025-09-01"},
        headers={"authorization": f"Bearer {token}"},
        content=content,
        base="https://localhost:1",
    )


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    operation=st.sampled_from(WRITES),
    body=st.one_of(values, st.dictionaries(names, values, max_size=5)),
)
def test_no_body_makes_the_tenant_stumble(
    dispatcher: Dispatcher, operation: Operation, body: Any
) -> None:
    # when
    answer = dispatcher.answer(call(dispatcher, operation, json.dumps(body).encode()))

    # then
    assert 200 <= answer.status < 500
    if answer.status >= 400:
        assert "error" in answer.body
    json.loads(answer.content() or b"null")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{", b"[" * 100_000, b'{"a":1}{'])
@pytest.mark.parametrize("operation", WRITES[::3], ids=lambda operation: operation.template[-40:])
def test_no_bytes_make_the_tenant_stumble(
    dispatcher: Dispatcher, operation: Operation, content: bytes
) -> None:
    # when
    answer = dispatcher.answer(call(dispatcher, operation, content))

    # then
    assert 200 <= answer.status < 500
