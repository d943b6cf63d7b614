"""Microsoft's Graph SDK against the simulator: incidents, alerts, hunting, sessions."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.plugins.quell_microsoft.simulator.sdks import Sdks

# they warn about themselves on new Pythons and leave sockets open: not what is tested here
pytestmark = pytest.mark.filterwarnings("ignore")
MODELS = "msgraph.generated.models.security"
BUILDERS = "msgraph.generated.security"


def use(sdks: Sdks, what: Callable[[Any], Awaitable[Any]]) -> Any:
    """Let a client do something, and close it on the same event loop."""

    async def run() -> Any:
        client, close = sdks.graph()
        try:
            return await what(client.security)
        finally:
            await close()

    return asyncio.run(run())


def options(builder: str, name: str, **query: Any) -> Any:
    """Set query options for a list."""
    module = pytest.importorskip(f"{BUILDERS}.{builder}")
    parameters = getattr(getattr(module, name), f"{name}GetQueryParameters")
    base = pytest.importorskip("kiota_abstractions.base_request_configuration")
    return base.RequestConfiguration(query_parameters=parameters(**query))


def incident_options(**query: Any) -> Any:
    return options("incidents.incidents_request_builder", "IncidentsRequestBuilder", **query)


def alert_options(**query: Any) -> Any:
    return options("alerts_v2.alerts_v2_request_builder", "Alerts_v2RequestBuilder", **query)


def test_the_graph_sdk_reads_incidents_with_their_alerts_and_changes_one(sdks: Sdks) -> None:
    # given
    pytest.importorskip("msgraph")
    models = pytest.importorskip(f"{MODELS}.incident")
    members = pytest.importorskip(f"{MODELS}.incident_status")

    async def work(security: Any) -> tuple[Any, ...]:
        page = await security.incidents.get(incident_options(expand=["alerts"]))
        one = security.incidents.by_incident_id(page.value[0].id)
        change = models.Incident(
            status=members.IncidentStatus.InProgress,
            assigned_to="ada@tailspin.example",
            custom_tags=["vip"],
        )
        return page, await one.patch(change), await one.get()

    # when
    page, changed, read = use(sdks, work)

    # then
    assert len(page.value) == len(sdks.tenant.queue.incidents)
    assert all(item.alerts for item in page.value)
    kinds = {
        type(proof).__name__
        for item in page.value
        for alert in item.alerts
        for proof in alert.evidence
    }
    assert {"DeviceEvidence", "UserEvidence", "AnalyzedMessageEvidence"} <= kinds
    assert changed.last_modified_by == "API-App:quell-everything"
    assert (read.status, read.assigned_to) == (
        members.IncidentStatus.InProgress,
        "ada@tailspin.example",
    )
    assert read.custom_tags == ["vip"]


def test_the_graph_sdk_filters_orders_and_pages(sdks: Sdks) -> None:
    # given
    pytest.importorskip("msgraph")
    wanted = {i.body["id"] for i in sdks.tenant.queue.released() if i.body["severity"] == "high"}

    async def work(security: Any) -> tuple[list[Any], int]:
        query = {"filter": "severity eq 'high'", "orderby": ["createdDateTime asc"], "top": 5}
        page = await security.incidents.get(incident_options(**query))
        found, pages = list(page.value), 1
        while page.odata_next_link:
            page = await security.incidents.with_url(page.odata_next_link).get()
            found, pages = [*found, *page.value], pages + 1
        return found, pages

    # when
    found, pages = use(sdks, work)

    # then
    assert {item.id for item in found} == wanted
    assert len(found) == len(wanted)
    assert pages == -(-len(wanted) // 5)
    moments = [item.created_date_time for item in found]
    assert moments == sorted(moments)


@pytest.mark.parametrize(
    ("query", "status"), [({"top": 51}, 400), ({"filter": "nonsense eq 1"}, 400), (None, 404)]
)
def test_the_graph_sdk_is_told_why_it_is_refused(
    sdks: Sdks, query: dict[str, Any] | None, status: int
) -> None:
    # given
    errors = pytest.importorskip("msgraph.generated.models.o_data_errors.o_data_error")

    async def work(security: Any) -> Any:
        if query is None:
            return await security.incidents.by_incident_id("404404").get()
        return await security.incidents.get(incident_options(**query))

    # when
    with pytest.raises(errors.ODataError) as refused:
        use(sdks, work)

    # then
    assert refused.value.response_status_code == status
    assert refused.value.error.message


def test_the_graph_sdk_lists_changes_and_moves_alerts(sdks: Sdks) -> None:
    # given
    pytest.importorskip("msgraph")
    models = pytest.importorskip(f"{MODELS}.alert")
    members = pytest.importorskip(f"{MODELS}.alert_status")
    move = pytest.importorskip(
        f"{BUILDERS}.alerts_v2.microsoft_graph_security_move_alerts.move_alerts_post_request_body"
    )

    async def work(security: Any) -> tuple[Any, ...]:
        page = await security.alerts_v2.get(
            alert_options(top=1000, orderby=["lastUpdateDateTime asc"])
        )
        first, last = page.value[0], page.value[-1]
        one = security.alerts_v2.by_alert_id(first.id)
        changed = await one.patch(models.Alert(status=members.AlertStatus.InProgress))
        body = move.MoveAlertsPostRequestBody(alert_ids=[first.id], incident_id=last.incident_id)
        moved = await security.alerts_v2.microsoft_graph_security_move_alerts.post(body)
        since = f"lastUpdateDateTime ge {last.last_update_date_time:%Y-%m-%dT%H:%M:%S.%fZ}"
        later = await security.alerts_v2.get(alert_options(filter=since))
        return page, first, last, changed, moved, later

    # when
    page, first, last, changed, moved, later = use(sdks, work)

    # then
    assert len(page.value) == len(sdks.tenant.queue.alerts)
    assert changed.status == members.AlertStatus.InProgress
    assert moved.target_incident_id == last.incident_id
    assert first.id in {alert.id for alert in later.value}
    (again,) = [alert for alert in later.value if alert.id == first.id]
    assert again.incident_id == last.incident_id


def test_the_graph_sdk_merges_incidents(sdks: Sdks) -> None:
    # given
    pytest.importorskip("msgraph")
    bodies = pytest.importorskip(
        f"{BUILDERS}.incidents.microsoft_graph_security_merge_incidents."
        "merge_incidents_post_request_body"
    )
    ids = [sdks.tenant.story["merge_loser"], sdks.tenant.story["merge_winner"]]

    async def work(security: Any) -> tuple[Any, ...]:
        body = bodies.MergeIncidentsPostRequestBody(incident_ids=ids)
        merged = await security.incidents.microsoft_graph_security_merge_incidents.post(body)
        loser = next(name for name in ids if name != merged.target_incident_id)
        return merged, await security.incidents.by_incident_id(loser).get()

    # when
    merged, loser = use(sdks, work)

    # then
    assert loser.redirect_incident_id == merged.target_incident_id
    assert loser.status.value == "redirected"


def test_the_graph_sdk_hunts_and_ends_sessions(sdks: Sdks) -> None:
    # given
    body = pytest.importorskip(
        f"{BUILDERS}.microsoft_graph_security_run_hunting_query.run_hunting_query_post_request_body"
    )
    user = sdks.tenant.users.find(f"olu.adeyemi@{sdks.tenant.domain}")
    assert user is not None

    async def run() -> tuple[Any, Any]:
        client, close = sdks.graph()
        try:
            query = body.RunHuntingQueryPostRequestBody(
                query=f'IdentityInfo | where AccountUpn == "{user.body["userPrincipalName"]}"'
            )
            hunt = client.security.microsoft_graph_security_run_hunting_query
            ended = client.users.by_user_id(user.body["id"]).revoke_sign_in_sessions
            return await hunt.post(query), await ended.post()
        finally:
            await close()

    # when
    hunted, ended = asyncio.run(run())

    # then
    assert hunted.results[0].additional_data["AccountObjectId"] == uuid.UUID(user.body["id"])
    assert ended.value is True
