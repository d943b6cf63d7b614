"""What else belongs to a Sentinel incident: relations, alerts, entities, bookmarks, playbooks."""

from __future__ import annotations

from collections import Counter

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.state.throttle import sentinel_reads, sentinel_writes
from quell_microsoft.simulator.state.workspaces import SentinelIncident, SubResource, Workspace
from quell_microsoft.simulator.wire import Answer, Json, Refusal, as_text

from .arm import (
    INCIDENT,
    READ,
    RESPOND,
    ROOT,
    bad_request,
    get_incident,
    get_sub,
    list_answer,
    operation,
    read_properties,
    required_text,
    show_sub,
)
from .sentinel import refuse_defender_alerts
from .sentinel_parts import PAGING, delete_sub

ALERTS_LIMIT, BOOKMARKS_LIMIT = 150, 20


def operations() -> list[Operation]:
    """List the routes of relations and of what they bring."""
    relations, playbook = INCIDENT + "/relations", INCIDENT + "/runPlaybook"
    reads, writes = sentinel_reads("relations"), sentinel_writes("relations")
    return [
        operation("GET", relations, list_relations, READ, reads),
        operation("GET", relations + "/{relation}", get_relation, READ, reads),
        operation("PUT", relations + "/{relation}", put_relation, RESPOND, writes),
        operation("DELETE", relations + "/{relation}", delete_relation, RESPOND),
        operation("POST", INCIDENT + "/alerts", list_alerts, READ, sentinel_reads("alerts")),
        operation("POST", INCIDENT + "/entities", list_entities, READ, sentinel_reads("entities")),
        operation("POST", INCIDENT + "/bookmarks", list_bookmarks, READ),
        operation("GET", ROOT + "/entities/{entity}", get_entity, READ),
        operation("POST", playbook, run_playbook, RESPOND, is_write=True),
    ]


def list_relations(call: Call, workspace: Workspace) -> Answer:
    """Answer one page of relations."""
    incident = get_incident(call, workspace)
    rows = [_show_relation(workspace, incident, r) for r in incident.relations.values()]
    return list_answer(call, rows, PAGING)


def get_relation(call: Call, workspace: Workspace) -> Answer:
    """Answer one relation."""
    incident = get_incident(call, workspace)
    relation = get_sub(incident.relations, call.parameters["relation"], "Relation")
    return Answer(body=_show_relation(workspace, incident, relation))


def put_relation(call: Call, workspace: Workspace) -> Answer:
    """Relate an alert or a bookmark of the same workspace to an incident."""
    incident = get_incident(call, workspace)
    name = call.parameters["relation"]
    target = required_text(read_properties(call), "relatedResourceId")
    if not target.casefold().startswith(workspace.id.casefold() + "/"):
        raise bad_request("The related resource belongs to a different workspace.")
    kind, related = target.rstrip("/").split("/")[-2:]
    found = incident.relations.get(name)
    if found is not None and as_text(found.properties.get("relatedResourceName")) != related:
        raise Refusal(409, "Conflict", f"Relation '{name}' exists for another resource.")
    if kind.casefold() == "entities":
        _relate_alert(workspace, incident, related, is_new=found is None)
    elif kind.casefold() == "bookmarks":
        _relate_bookmark(workspace, incident, related)
    else:
        raise bad_request(f"Resources of type '{kind}' cannot be related to an incident.")
    relation = found or _new_relation(name, target, kind, related)
    incident.relations[name] = relation
    workspace.touch(incident, by=call.caller.name)
    body = _show_relation(workspace, incident, relation)
    return Answer(status=201 if found is None else 200, body=body)


def delete_relation(call: Call, workspace: Workspace) -> Answer:
    """Take a relation away, and with it the alert or bookmark."""
    incident = get_incident(call, workspace)
    found = incident.relations.get(call.parameters["relation"])
    if found is not None and found.properties.get("relatedResourceKind") == "SecurityAlert":
        if incident.is_connector_copy:
            raise refuse_defender_alerts(incident)
        incident.alerts.pop(found.properties["relatedResourceName"], None)
    elif found is not None:
        related = found.properties["relatedResourceName"]
        incident.bookmarks = [name for name in incident.bookmarks if name != related]
    return delete_sub(call, workspace, incident, incident.relations, "relation")


def _relate_alert(
    workspace: Workspace, incident: SentinelIncident, alert_id: str, *, is_new: bool
) -> None:
    if incident.is_connector_copy:
        raise refuse_defender_alerts(incident)
    if alert_id not in workspace.alerts:
        raise Refusal(404, "NotFound", f"Alert '{alert_id}' was not found.")
    if is_new and alert_id in incident.alerts:
        raise bad_request(f"Alert '{alert_id}' is already in incident '{incident.name}'.")
    if len(incident.alerts) >= ALERTS_LIMIT:
        raise bad_request(f"An incident can have no more than {ALERTS_LIMIT} alerts.")
    incident.alerts[alert_id] = workspace.alerts[alert_id]


def _relate_bookmark(workspace: Workspace, incident: SentinelIncident, name: str) -> None:
    if name not in workspace.bookmarks:
        raise Refusal(404, "NotFound", f"Bookmark '{name}' was not found.")
    if len(incident.bookmarks) >= BOOKMARKS_LIMIT:
        raise bad_request(f"An incident can have no more than {BOOKMARKS_LIMIT} bookmarks.")
    if name not in incident.bookmarks:
        incident.bookmarks.append(name)


def _new_relation(name: str, target: str, kind: str, related: str) -> SubResource:
    properties: Json = {
        "relatedResourceId": target,
        "relatedResourceName": related,
        "relatedResourceType": f"Microsoft.SecurityInsights/{kind.casefold()}",
    }
    if kind.casefold() == "entities":
        properties["relatedResourceKind"] = "SecurityAlert"
    return SubResource(name=name, properties=properties)


def _show_relation(workspace: Workspace, incident: SentinelIncident, sub: SubResource) -> Json:
    path = f"Incidents/{incident.name}/relations/{sub.name}"
    return show_sub(workspace, sub, path, "Incidents/relations")


def list_alerts(call: Call, workspace: Workspace) -> Answer:
    """Answer all alerts of an incident at once."""
    incident = get_incident(call, workspace)
    return Answer(body={"value": list(incident.alerts.values())})


def list_entities(call: Call, workspace: Workspace) -> Answer:
    """Answer all entities of an incident at once, with counts by kind."""
    incident = get_incident(call, workspace)
    counts = Counter(as_text(entity.get("kind")) for entity in incident.entities)
    meta = [{"entityKind": kind, "count": count} for kind, count in counts.items()]
    return Answer(body={"entities": incident.entities, "metaData": meta})


def get_entity(call: Call, workspace: Workspace) -> Answer:
    """Answer one entity or alert (preview versions only, at Microsoft)."""
    name = call.parameters["entity"]
    known = {**workspace.alerts, **workspace.entities}
    for incident in workspace.incidents.values():
        known |= {as_text(entity.get("name")): entity for entity in incident.entities}
    if name not in known:
        raise Refusal(404, "NotFound", f"Entity '{name}' was not found.")
    return Answer(body=known[name])


def list_bookmarks(call: Call, workspace: Workspace) -> Answer:
    """Answer all bookmarks of an incident at once."""
    incident = get_incident(call, workspace)
    found = [workspace.bookmarks[name] for name in incident.bookmarks]
    shown: list[Json] = []
    for sub in found:
        entity = show_sub(workspace, sub, f"bookmarks/{sub.name}", "bookmarks")
        shown.append({**entity, "kind": "Bookmark"})
    return Answer(body={"value": shown})


def run_playbook(call: Call, workspace: Workspace) -> Answer:
    """Start a Logic App on an incident; nothing comes back but 204."""
    incident, body = get_incident(call, workspace), call.json_object()
    if not as_text(body.get("logicAppsResourceId")):
        raise bad_request("Required property 'logicAppsResourceId' is missing or empty.")
    workspace.started_playbooks.append({"incident": incident.name, **body})
    return Answer(status=204)
