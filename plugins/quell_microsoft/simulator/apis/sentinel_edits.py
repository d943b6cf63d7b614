"""Edits in Sentinel from behind the scenes, as analysts would make them."""

from __future__ import annotations

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.state.clock import stamp
from quell_microsoft.simulator.state.workspaces import (
    SentinelIncident,
    SubResource,
    Workspace,
    new_etag,
)
from quell_microsoft.simulator.wire import Answer, Json, as_objects, as_text, new_guid

from .arm import get_sub
from .control import control
from .edits import not_found
from .sentinel import show

#: stamps that stay as they were asked for: 200 incidents may have one, or one lie in the past
STAMPS = ("createdTimeUtc", "lastModifiedTimeUtc")


def operations() -> list[Operation]:
    """List the routes that change a workspace."""
    incidents = "/sentinel/incidents"
    one = incidents + "/{name}"
    return [
        control("POST", incidents, create_sentinel),
        control("GET", one, get_sentinel),
        control("PATCH", one, edit_sentinel),
        control("DELETE", one, delete_sentinel),
        control("POST", one + "/comments", comment_sentinel),
        control("PATCH", one + "/comments/{comment}", edit_comment),
        control("DELETE", one + "/comments/{comment}", delete_comment),
        control("PUT", one + "/tasks/{task}", put_task),
        control("DELETE", one + "/tasks/{task}", delete_task),
    ]


def create_sentinel(call: Call) -> Answer:
    """Create a Sentinel incident with any properties, read-only ones and alerts included."""
    body, workspace = dict(call.json_object()), _workspace(call)
    name = as_text(body.pop("name", "")) or new_guid()
    alerts, entities = as_objects(body.pop("alerts", [])), as_objects(body.pop("entities", []))
    base = {"title": "Incident", "severity": "Medium", "status": "New"}
    incident = workspace.create(name, {**base, **body}, by="analyst")
    for alert in alerts:
        incident.alerts[as_text(alert.get("name"))] = alert
        workspace.alerts[as_text(alert.get("name"))] = alert
    incident.entities += entities
    incident.properties |= {name: body[name] for name in STAMPS if name in body}
    return Answer(status=201, body=show(workspace, incident))


def edit_sentinel(call: Call) -> Answer:
    """Change properties of a Sentinel incident in an analyst's name."""
    body = dict(call.json_object())
    workspace, incident = _sentinel(call)
    author = _author(call, body)
    body.pop("author", None)
    incident.properties.update(body)
    workspace.touch(incident, by=author)
    incident.properties |= {name: body[name] for name in STAMPS if name in body}
    return Answer(body=show(workspace, incident))


def comment_sentinel(call: Call) -> Answer:
    """Comment on a Sentinel incident in an analyst's name."""
    body = call.json_object()
    workspace, incident = _sentinel(call)
    author = _author(call, body)
    now, name = stamp(call.tenant.clock.shown()), as_text(body.get("name")) or new_guid()
    properties: Json = {
        "message": as_text(body.get("message")),
        "createdTimeUtc": now,
        "lastModifiedTimeUtc": now,
        "author": _person(call, author),
    }
    incident.comments[name] = SubResource(name=name, properties=properties)
    workspace.touch(incident, by=author)
    return Answer(status=201, body=show(workspace, incident))


def delete_sentinel(call: Call) -> Answer:
    """Delete a Sentinel incident by hand."""
    workspace, incident = _sentinel(call)
    workspace.delete(incident, by="analyst@" + call.tenant.domain)
    return Answer(status=204)


def get_sentinel(call: Call) -> Answer:
    """Answer a Sentinel incident with its comments and tasks, as they are now."""
    workspace, incident = _sentinel(call)
    parts = {"comments": incident.comments, "tasks": incident.tasks}
    shown = {
        kind: [{"name": sub.name, **sub.properties} for sub in found.values()]
        for kind, found in parts.items()
    }
    return Answer(body={**show(workspace, incident), **shown, "alerts": list(incident.alerts)})


def edit_comment(call: Call) -> Answer:
    """Change the text of a comment in an analyst's name; its author stays who wrote it first."""
    body = call.json_object()
    workspace, incident = _sentinel(call)
    comment = get_sub(incident.comments, call.parameters["comment"], "Comment")
    now = stamp(call.tenant.clock.shown())
    message = as_text(body.get("message"))
    comment.properties |= {"message": message, "lastModifiedTimeUtc": now}
    comment.etag = new_etag()
    workspace.touch(incident, by=_author(call, body))
    return Answer(body=show(workspace, incident))


def delete_comment(call: Call) -> Answer:
    """Delete a comment in an analyst's name."""
    workspace, incident = _sentinel(call)
    comment = get_sub(incident.comments, call.parameters["comment"], "Comment")
    del incident.comments[comment.name]
    workspace.touch(incident, by=_author(call, {}))
    return Answer(status=204)


def put_task(call: Call) -> Answer:
    """Create or change a task in an analyst's name."""
    body, now = dict(call.json_object()), stamp(call.tenant.clock.shown())
    workspace, incident = _sentinel(call)
    name, author = call.parameters["task"], _author(call, body)
    who = _person(call, author)
    made: Json = {"title": "Task", "status": "New", "createdTimeUtc": now, "createdBy": who}
    task = incident.tasks.get(name) or SubResource(name=name, properties=made)
    given = {key: body[key] for key in ("title", "description", "status") if key in body}
    task.properties |= given | {"lastModifiedTimeUtc": now, "lastModifiedBy": who}
    task.etag = new_etag()
    incident.tasks[name] = task
    workspace.touch(incident, by=author)
    return Answer(status=201, body={"name": name, **task.properties})


def delete_task(call: Call) -> Answer:
    """Delete a task in an analyst's name."""
    workspace, incident = _sentinel(call)
    task = get_sub(incident.tasks, call.parameters["task"], "Task")
    del incident.tasks[task.name]
    workspace.touch(incident, by=_author(call, {}))
    return Answer(status=204)


def _author(call: Call, body: Json) -> str:
    return as_text(body.get("author")) or "analyst@" + call.tenant.domain


def _person(call: Call, author: str) -> Json:
    user = call.tenant.users.find(author)
    return {
        "objectId": user.body["id"] if user else None,
        "email": author,
        "name": user.body["displayName"] if user else author,
        "userPrincipalName": author,
    }


def _workspace(call: Call) -> Workspace:
    wanted = call.query.get("workspace", call.tenant.workspaces[0].name)
    found = next((w for w in call.tenant.workspaces if w.name == wanted), None)
    if found is None:
        raise not_found(wanted)
    return found


def _sentinel(call: Call) -> tuple[Workspace, SentinelIncident]:
    """Find an incident by its name or its number, in the workspace that has it."""
    wanted = call.parameters["name"]
    for workspace in call.tenant.workspaces:
        for incident in workspace.incidents.values():
            number = str(incident.properties.get("incidentNumber"))
            if wanted == incident.name or (wanted == number and workspace is _workspace(call)):
                return workspace, incident
    raise not_found(wanted)
