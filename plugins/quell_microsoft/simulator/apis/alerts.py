"""Graph alerts_v2: list, get, change, comment, move."""

from __future__ import annotations

from typing import Any

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.listing import list_page, refuse_poison
from quell_microsoft.simulator.odata import Kind
from quell_microsoft.simulator.paging import Paging, select
from quell_microsoft.simulator.state.clock import stamp
from quell_microsoft.simulator.state.items import Alert
from quell_microsoft.simulator.state.throttle import GRAPH_SECURITY
from quell_microsoft.simulator.wire import Answer, Api, Json, Refusal, as_object, as_text, as_texts

from .security import (
    ALERT_STATUSES,
    CLASSIFICATIONS,
    DETERMINATIONS,
    FILTERABLE,
    author,
    context,
    enum_value,
    mask,
    read_comment,
    read_only,
    text_or_null,
    unknown_property,
)

TYPE = "microsoft.graph.security.alert"
READ = ("SecurityAlert.Read.All", "SecurityAlert.ReadWrite.All")
WRITE = ("SecurityAlert.ReadWrite.All",)
MANAGE = ("SecurityData.Manage.All",)
WRITABLE = frozenset({"status", "classification", "determination", "assignedTo", "customDetails"})
READ_ONLY = frozenset(
    {
        "id", "providerAlertId", "incidentId", "tenantId", "severity", "serviceSource",
        "detectionSource", "productName", "detectorId", "title", "description",
        "recommendedActions", "category", "categories", "alertWebUrl", "incidentWebUrl",
        "actorDisplayName", "threatDisplayName", "threatFamilyName", "mitreTechniques",
        "createdDateTime", "lastUpdateDateTime", "resolvedDateTime", "firstActivityDateTime",
        "lastActivityDateTime", "alertPolicyId", "additionalData", "investigationState",
        "systemTags", "comments", "evidence",
    }
)  # fmt: skip
PAGING = Paging(
    type_name=TYPE,
    properties={**FILTERABLE, "serviceSource": Kind.TEXT},
    sortable={"id": Kind.TEXT, "title": Kind.TEXT},
    default_order=(("createdDateTime", True),),
    # Assumed: the default page of alerts is the same as that of incidents
    default_top=50,
    max_top=1000,
    max_skip=500,
    clamps=True,
)


def operations(root: str) -> list[Operation]:
    """List the routes under `/v1.0` or `/beta`."""
    base = f"{root}/security/alerts_v2"
    routes = [
        ("GET", base, list_alerts, READ),
        ("POST", f"{base}/moveAlerts", move, MANAGE),
        ("POST", f"{base}/microsoft.graph.security.moveAlerts", move, MANAGE),
        ("GET", base + "/{alert_id}", get_alert, READ),
        ("PATCH", base + "/{alert_id}", update, WRITE),
        ("POST", base + "/{alert_id}/comments", comment, WRITE),
    ]
    return [
        Operation(
            api=Api.GRAPH,
            method=method,
            template=template,
            endpoint=endpoint,
            roles=roles,
            limits=(GRAPH_SECURITY,),
            is_write=method != "GET",
        )
        for method, template, endpoint, roles in routes
    ]


def list_alerts(call: Call) -> Answer:
    """Answer one page of alerts; evidence is always inline."""
    if "$expand" in call.query:
        text = f"Parsing OData Select and Expand failed: nothing to expand on type '{TYPE}'."
        raise Refusal(400, "BadRequest", text)
    now = call.tenant.clock.now()
    rows = [
        seen
        for alert in call.tenant.queue.alerts.values()
        if alert.released and (seen := alert.visible(now)) is not None
    ]
    page, link = list_page(call, rows, PAGING)
    body: Json = {"@odata.context": context(call, "security/alerts_v2")}
    if call.query.get("$count", "").casefold() == "true":
        body["@odata.count"] = page.total
    properties = WRITABLE | READ_ONLY
    body["value"] = [select(mask(row, call), call.query, properties) for row in page.rows]
    if link is not None:
        body["@odata.nextLink"] = link
    return Answer(body=body)


def get_alert(call: Call) -> Answer:
    """Answer one alert as it is now."""
    alert = _get(call, call.parameters["alert_id"])
    body = select(mask(alert.body, call), call.query, WRITABLE | READ_ONLY)
    return Answer(body={"@odata.context": context(call, "security/alerts_v2/$entity"), **body})


def update(call: Call) -> Answer:
    """Change an alert and answer the whole of it."""
    alert = _get(call, call.parameters["alert_id"])
    changes: Json = {}
    for name, value in call.json_object().items():
        if name.startswith("@odata."):
            continue
        if name in READ_ONLY:
            raise read_only(name)
        if name not in WRITABLE:
            raise unknown_property(name, TYPE)
        changes[name] = _checked(name, value)
    if "status" in changes:
        is_resolved = changes["status"] == "resolved"
        moment = stamp(call.tenant.clock.shown()) if is_resolved else None
        changes["resolvedDateTime"] = moment
    call.tenant.queue.change_alert(alert, changes, author(call))
    body = mask(alert.body, call)
    return Answer(body={"@odata.context": context(call, "security/alerts_v2/$entity"), **body})


def comment(call: Call) -> Answer:
    """Add a comment; the answer is 200 with the entire list."""
    alert = _get(call, call.parameters["alert_id"])
    call.tenant.queue.comment(alert, read_comment(call), author(call))
    path = f"security/alerts_v2('{alert.body['id']}')/comments"
    return Answer(body={"@odata.context": context(call, path), "value": alert.body["comments"]})


def move(call: Call) -> Answer:
    """Move alerts to another incident, or to a new one where none is named."""
    body = call.json_object()
    alerts = [_get(call, alert_id) for alert_id in as_texts(body.get("alertIds"))]
    if not alerts:
        raise Refusal(400, "BadRequest", "At least one alert is needed.")
    queue = call.tenant.queue
    wanted = body.get("incidentId")
    if wanted is None:
        first = alerts[0].body
        name = as_text(first.get("title"))
        target = queue.new_incident({"displayName": name, "severity": first.get("severity")})
    else:
        found = queue.find_incident(as_text(wanted))
        if found is None:
            raise Refusal(404, "NotFound", f"Incident with id {wanted} was not found.")
        target = found
    # Assumed: an app that moves alerts signs for it, as with every other change it makes
    queue.move_alerts(alerts, target, author(call))
    if as_text(body.get("alertComment")):
        for alert in alerts:
            queue.comment(alert, body["alertComment"], author(call))
    answer = {"targetIncidentId": target.body["id"]}
    return Answer(body={"@odata.context": context(call, "security/mergeResponse"), **answer})


def _checked(name: str, value: Any) -> Any:
    if name == "status":
        return enum_value(name, value, ALERT_STATUSES)
    if name == "classification":
        return enum_value(name, value, CLASSIFICATIONS)
    if name == "determination":
        return enum_value(name, value, DETERMINATIONS)
    if name == "customDetails":
        return as_object(value)
    return text_or_null(name, value)


def _get(call: Call, alert_id: str) -> Alert:
    alert = call.tenant.queue.find_alert(alert_id)
    if alert is None:
        raise Refusal(404, "NotFound", f"Alert with id {alert_id} was not found.")
    refuse_poison(call.tenant.config, alert_id)
    return alert
