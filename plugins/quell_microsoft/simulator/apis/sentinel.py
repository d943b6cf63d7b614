"""Sentinel incidents over ARM: list, get, put with the etag in the body, delete."""

from __future__ import annotations

import random
from typing import Any

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.odata import Kind
from quell_microsoft.simulator.paging import Paging
from quell_microsoft.simulator.state.clock import parse_stamp
from quell_microsoft.simulator.state.throttle import sentinel_writes
from quell_microsoft.simulator.state.workspaces import NO_OWNER, SentinelIncident, Workspace
from quell_microsoft.simulator.wire import Answer, Json, Refusal, as_object, as_text

from .arm import (
    CONTRIBUTE,
    INCIDENT,
    READ,
    RESPOND,
    ROOT,
    bad_request,
    check_etag,
    conflict,
    enum_member,
    get_incident,
    list_answer,
    operation,
    optional_text,
    read_properties,
    required_text,
)

SEVERITIES = ("High", "Medium", "Low", "Informational")
STATUSES = ("New", "Active", "Closed")
CLASSIFICATIONS = ("Undetermined", "TruePositive", "BenignPositive", "FalsePositive")
REASONS = (
    "SuspiciousActivity",
    "SuspiciousButExpected",
    "IncorrectAlertLogic",
    "InaccurateData",
)
PAGING = Paging(
    type_name="Incident",
    properties={
        "name": Kind.TEXT,
        **{
            f"properties/{name}": Kind.TEXT
            for name in (
                "title", "severity", "status", "classification", "classificationReason",
                "providerName", "providerIncidentId", "owner/assignedTo", "owner/email",
                "owner/objectId", "owner/userPrincipalName", "description",
            )
        },
        **{
            f"properties/{name}": Kind.MOMENT
            for name in (
                "createdTimeUtc", "lastModifiedTimeUtc", "firstActivityTimeUtc",
                "lastActivityTimeUtc",
            )
        },
        "properties/incidentNumber": Kind.NUMBER,
        "properties/labels": Kind.OTHER,
    },
    # Assumed: without an order the newest incidents come first
    default_order=(("properties/createdTimeUtc", True),),
    default_top=50,
    max_top=1000,
    key="name",
    token_name="$skipToken",  # noqa: S106 - the name of a query option
)  # fmt: skip


def operations() -> list[Operation]:
    """List the routes of the incidents themselves."""
    base = ROOT + "/incidents"
    writes = sentinel_writes("incidents")
    return [
        operation("GET", base, list_incidents, READ),
        operation("GET", INCIDENT, get, READ),
        operation("PUT", INCIDENT, put, RESPOND, writes),
        operation("DELETE", INCIDENT, delete, CONTRIBUTE),
    ]


def show(workspace: Workspace, incident: SentinelIncident) -> Json:
    """Show an incident as it is now; lag is a matter of lists only."""
    return workspace.show(incident)


def list_incidents(call: Call, workspace: Workspace) -> Answer:
    """Answer one page of incidents, as far as they are visible by now."""
    incidents = workspace.incidents.values()
    rows = [row for one in incidents if (row := workspace.visible(one)) is not None]
    return list_answer(call, rows, PAGING)


def get(call: Call, workspace: Workspace) -> Answer:
    """Answer one incident."""
    return Answer(body=show(workspace, get_incident(call, workspace)))


def put(call: Call, workspace: Workspace) -> Answer:
    """Create an incident, or replace the writable properties of one whose etag is known."""
    name = call.parameters["incident"]
    changes = read_changes(call, read_properties(call))
    incident = workspace.find(name)
    if incident is None:
        if call.json_object().get("etag"):
            # Assumed: an etag of something that is gone cannot be the newest version
            raise conflict(name)
        incident = workspace.create(name, changes, by=call.caller.name)
        return Answer(status=201, body=show(workspace, incident))
    if {"*", incident.name} & set(call.tenant.config.restless_incidents):
        workspace.touch(incident, by="somebody else")
    check_etag(call, incident.name, incident.etag)
    if random.random() * 100 < call.tenant.config.spurious_conflict_percent:  # noqa: S311 - dice
        raise conflict(name)
    incident.properties.update(changes)
    workspace.touch(incident, by=call.caller.name)
    return Answer(body=show(workspace, incident))


def delete(call: Call, workspace: Workspace) -> Answer:
    """Delete an incident; 204 where there is none, refused for Microsoft's own copies."""
    incident = workspace.find(call.parameters["incident"])
    if incident is None:
        return Answer(status=204)
    if incident.is_connector_copy:
        # Assumed: the status of this refusal is not documented
        raise bad_request("Incidents that were imported from Microsoft Defender cannot be deleted.")
    workspace.delete(incident, by=call.caller.name)
    return Answer(status=200)


def read_changes(call: Call, sent: Json) -> Json:
    """Check the writable properties; what is left out is cleared (Assumed), read-only is ignored."""
    labels = sent.get("labels")
    changes: Json = {
        "title": required_text(sent, "title"),
        "description": optional_text(sent, "description", 5000),
        "severity": _required_enum(sent, "severity", SEVERITIES),
        "status": _required_enum(sent, "status", STATUSES),
        "classification": enum_member(sent, "classification", CLASSIFICATIONS),
        "classificationReason": enum_member(sent, "classificationReason", REASONS),
        "classificationComment": optional_text(sent, "classificationComment"),
        "labels": [] if labels is None else _labels(labels),
        "owner": complete_owner(call, sent.get("owner")),
    }
    for name in ("firstActivityTimeUtc", "lastActivityTimeUtc"):
        changes[name] = _moment(sent, name)
    return changes


def _required_enum(sent: Json, name: str, members: tuple[str, ...]) -> str:
    value = enum_member(sent, name, members)
    if value is None:
        raise bad_request(f"Required property '{name}' is missing or empty.")
    return value


def _labels(value: Any) -> list[Json]:
    items: list[Any] = value if isinstance(value, list) else [None]  # pyright: ignore[reportUnknownVariableType]
    labels: dict[str, Json] = {}
    for item in items:
        name = as_text(as_object(item).get("labelName"))
        if not name:
            raise bad_request("Each of 'labels' needs a 'labelName'.")
        labels[name] = {"labelName": name, "labelType": "User"}
    return list(labels.values())


def _moment(sent: Json, name: str) -> str | None:
    value = sent.get(name)
    if value is not None and parse_stamp(value) is None:
        raise bad_request(f"Property '{name}' is not a valid date.")
    return as_text(value) or None


def complete_owner(call: Call, sent: Any) -> Json:
    """Complete an owner from Entra by object id or user principal name."""
    if sent is None:
        return dict(NO_OWNER)
    if not isinstance(sent, dict):
        raise bad_request("Property 'owner' must be an object.")
    owner = as_object(sent)  # pyright: ignore[reportUnknownArgumentType]
    key = as_text(owner.get("objectId")) or as_text(owner.get("userPrincipalName"))
    user = call.tenant.users.find(key) if key else None
    if user is None:
        names = (*NO_OWNER, "ownerType")
        return {name: owner.get(name) for name in names if name in NO_OWNER or name in owner}
    return {
        "objectId": user.body["id"],
        "email": user.body.get("mail"),
        "assignedTo": user.body.get("displayName"),
        "userPrincipalName": user.body["userPrincipalName"],
        "ownerType": "User",
    }


def refuse_defender_alerts(incident: SentinelIncident) -> Refusal:
    """Refuse to change which alerts belong to a Defender incident."""
    text = (
        f"Incident '{incident.name}' was created by Microsoft Defender XDR: alerts cannot be "
        "added to or removed from it here."
    )
    return bad_request(text)
