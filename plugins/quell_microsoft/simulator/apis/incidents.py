"""Graph security incidents: list, get, change, comment, merge."""

from __future__ import annotations

from typing import Any

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.listing import list_page, refuse_poison
from quell_microsoft.simulator.odata import Kind
from quell_microsoft.simulator.paging import Paging, select
from quell_microsoft.simulator.state.clock import sortable
from quell_microsoft.simulator.state.items import Incident
from quell_microsoft.simulator.state.overwrites import Reading
from quell_microsoft.simulator.state.throttle import GRAPH_SECURITY
from quell_microsoft.simulator.wire import Answer, Api, Json, Refusal, as_text, as_texts

from .security import (
    CLASSIFICATIONS,
    DETERMINATIONS,
    FILTERABLE,
    INCIDENT_STATUSES,
    LATER_INCIDENT_STATUSES,
    SEVERITIES,
    author,
    context,
    enum_value,
    mask,
    read_comment,
    read_only,
    text_list,
    text_or_null,
    unknown_property,
)

TYPE = "microsoft.graph.security.incident"
READ = ("SecurityIncident.Read.All", "SecurityIncident.ReadWrite.All")
WRITE = ("SecurityIncident.ReadWrite.All",)
MANAGE = ("SecurityData.Manage.All",)
#: documented for the portal (Assumed: the API has the same limit)
MERGE_LIMIT = 5
READ_ONLY = frozenset(
    {
        "id",
        "tenantId",
        "createdDateTime",
        "lastUpdateDateTime",
        "lastModifiedBy",
        "incidentWebUrl",
        "redirectIncidentId",
        "systemTags",
        "priorityScore",
        "comments",
        "alerts",
        "recommendedActions",
        "recommendedHuntingQueries",
    }
)
TEXTS = ("assignedTo", "displayName", "description", "summary", "resolvingComment")
ENUMS = {
    "severity": SEVERITIES,
    "classification": CLASSIFICATIONS,
    "determination": DETERMINATIONS,
}
PROPERTIES = READ_ONLY | frozenset({"status", "customTags"}) | frozenset(TEXTS) | frozenset(ENUMS)
PAGING = Paging(
    type_name=TYPE,
    properties=FILTERABLE,
    # sortable beyond what the documentation lists: the schema says so
    sortable={"id": Kind.TEXT, "displayName": Kind.TEXT, "priorityScore": Kind.NUMBER},
    default_order=(("createdDateTime", True),),
    default_top=50,
    max_top=50,
    max_skip=500,
)


def operations(root: str) -> list[Operation]:
    """List the routes under `/v1.0` or `/beta`."""
    base = f"{root}/security/incidents"
    one = base + "/{incident_id}"
    routes = [
        ("GET", base, list_incidents, READ),
        ("POST", f"{base}/mergeIncidents", merge, MANAGE),
        ("POST", f"{base}/microsoft.graph.security.mergeIncidents", merge, MANAGE),
        ("GET", one, get_incident, READ),
        ("PATCH", one, update, WRITE),
        ("GET", one + "/alerts", list_alerts, READ),
        ("POST", one + "/comments", comment, WRITE),
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


def list_incidents(call: Call) -> Answer:
    """Answer one page of the queue as far as it is visible by now."""
    now = call.tenant.clock.now()
    rows = [
        seen
        for incident in call.tenant.queue.released()
        if (seen := incident.visible(now)) is not None
    ]
    page, link = list_page(call, rows, PAGING)
    expands = _expands(call)
    shown = [_show(call, row, expands=expands) for row in page.rows]
    for row in page.rows:
        _note_listed(call, row)
    body: Json = {"@odata.context": context(call, "security/incidents")}
    if call.query.get("$count", "").casefold() == "true":
        body["@odata.count"] = page.total
    body["value"] = shown
    if link is not None:
        body["@odata.nextLink"] = link
    return Answer(body=body)


def get_incident(call: Call) -> Answer:
    """Answer one incident as it is now; lag is a matter of lists only."""
    incident = _get(call, call.parameters["incident_id"])
    body = _show(call, incident.body, expands=_expands(call))
    call.tenant.overwrites.looked(author(call), incident, Reading.GET)
    return Answer(body={"@odata.context": context(call, "security/incidents/$entity"), **body})


def list_alerts(call: Call) -> Answer:
    """Answer the alerts of one incident."""
    incident = _get(call, call.parameters["incident_id"])
    shown = [mask(alert.body, call) for alert in call.tenant.queue.alerts_of(incident.body["id"])]
    path = f"security/incidents('{incident.body['id']}')/alerts"
    return Answer(body={"@odata.context": context(call, path), "value": shown})


def update(call: Call) -> Answer:
    """Change an incident and answer the whole of it; a merged one stays redirected."""
    incident = _get(call, call.parameters["incident_id"])
    changes = read_changes(call.json_object())
    if incident.body.get("status") == "redirected":
        changes.pop("status", None)
    overwrites = call.tenant.overwrites
    overwrites.patch(author(call), incident, changes)
    call.tenant.queue.change_incident(incident, changes, author(call))
    overwrites.looked(author(call), incident, Reading.ANSWER)
    body = mask(incident.body, call)
    return Answer(body={"@odata.context": context(call, "security/incidents/$entity"), **body})


def comment(call: Call) -> Answer:
    """Add a comment; the answer is 200 with the entire list."""
    incident = _get(call, call.parameters["incident_id"])
    call.tenant.queue.comment(incident, read_comment(call), author(call))
    path = f"security/incidents('{incident.body['id']}')/comments"
    return Answer(body={"@odata.context": context(call, path), "value": incident.body["comments"]})


def merge(call: Call) -> Answer:
    """Merge incidents; the target is the oldest (Assumed: Microsoft does not say which)."""
    body = call.json_object()
    ids = as_texts(body.get("incidentIds"))
    if len(set(ids)) < 2:
        raise Refusal(400, "BadRequest", "At least two incidents are needed.")
    if len(set(ids)) > MERGE_LIMIT:
        raise Refusal(400, "BadRequest", f"No more than {MERGE_LIMIT} incidents can be merged.")
    incidents = [_get(call, incident_id) for incident_id in dict.fromkeys(ids)]
    if any(incident.body.get("status") in ("resolved", "redirected") for incident in incidents):
        raise Refusal(400, "BadRequest", "Closed or merged incidents cannot be merged.")
    incidents.sort(key=lambda incident: sortable(incident.body.get("createdDateTime")) or ("", ""))
    winner, losers = incidents[0], incidents[1:]
    call.tenant.queue.merge(losers, winner, author(call))
    if as_text(body.get("incidentComment")):
        call.tenant.queue.comment(winner, body["incidentComment"], author(call))
    answer = {"targetIncidentId": winner.body["id"]}
    return Answer(body={"@odata.context": context(call, "security/mergeResponse"), **answer})


def read_changes(body: Json) -> Json:
    """Check the body of a PATCH, property by property."""
    changes: Json = {}
    for name, value in body.items():
        if name.startswith("@odata."):
            continue
        if name in READ_ONLY:
            raise read_only(name)
        if name not in PROPERTIES:
            raise unknown_property(name, TYPE)
        changes[name] = _checked(name, value)
    return changes


def _checked(name: str, value: Any) -> Any:
    if name == "status":
        status = enum_value(name, value, INCIDENT_STATUSES + LATER_INCIDENT_STATUSES)
        if status in ("redirected", "awaitingAction"):
            raise Refusal(400, "BadRequest", f"Status '{status}' cannot be set.")
        return status
    if name in ENUMS:
        return enum_value(name, value, ENUMS[name])
    if name == "customTags":
        return text_list(name, value)
    if name == "displayName" and value is None:
        raise Refusal(400, "BadRequest", "The display name must not be empty.")
    return text_or_null(name, value)


def _get(call: Call, incident_id: str) -> Incident:
    incident = call.tenant.queue.find_incident(incident_id)
    if incident is None:
        raise Refusal(404, "NotFound", f"Incident with id {incident_id} was not found.")
    refuse_poison(call.tenant.config, incident_id)
    return incident


def _note_listed(call: Call, row: Json) -> None:
    """A list that lags shows no edit that is still on its way."""
    # a test may take a row's id away, to see what a client makes of that
    incident = call.tenant.queue.incidents.get(as_text(row.get("id")))
    if incident is not None and not incident.pending:
        call.tenant.overwrites.looked(author(call), incident, Reading.LIST)


def _expands(call: Call) -> bool:
    asked = call.query.get("$expand")
    if asked is None:
        return False
    if asked.split("(")[0].strip().casefold() != "alerts":
        text = f"Could not find a property named '{asked}' on type '{TYPE}'."
        raise Refusal(400, "BadRequest", f"Parsing OData Select and Expand failed: {text}")
    return True


def _show(call: Call, body: Json, *, expands: bool) -> Json:
    shown = select(mask(body, call), call.query, PROPERTIES)
    if not expands:
        return shown
    if body["id"] in call.tenant.config.poison_incidents:
        # seen at a large tenant: the same page failed for good as soon as alerts were expanded
        raise Refusal(500, "InternalServerError", "An error has occurred.")
    now = call.tenant.clock.now()
    alerts = [alert.visible(now) for alert in call.tenant.queue.alerts_of(body["id"])]
    return {**shown, "alerts": [mask(alert, call) for alert in alerts if alert is not None]}
