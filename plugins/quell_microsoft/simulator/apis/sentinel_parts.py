"""Comments and tasks of a Sentinel incident."""

from __future__ import annotations

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.odata import Kind
from quell_microsoft.simulator.paging import Paging
from quell_microsoft.simulator.state.clock import stamp
from quell_microsoft.simulator.state.throttle import sentinel_reads, sentinel_writes
from quell_microsoft.simulator.state.workspaces import (
    SentinelIncident,
    SubResource,
    Workspace,
    new_etag,
)
from quell_microsoft.simulator.wire import Answer, Json

from .arm import (
    INCIDENT,
    READ,
    RESPOND,
    bad_request,
    check_etag,
    client_info,
    conflict,
    enum_member,
    get_incident,
    get_sub,
    list_answer,
    operation,
    optional_text,
    read_properties,
    required_text,
    show_sub,
)

COMMENTS_LIMIT, COMMENT_LENGTH, TASKS_LIMIT = 100, 30_000, 40
PAGING = Paging(
    type_name="SubResource",
    properties={
        "name": Kind.TEXT,
        "properties/createdTimeUtc": Kind.MOMENT,
        "properties/lastModifiedTimeUtc": Kind.MOMENT,
        "properties/message": Kind.TEXT,
        "properties/status": Kind.TEXT,
        "properties/author/name": Kind.TEXT,
        "properties/relatedResourceKind": Kind.TEXT,
        "properties/relatedResourceType": Kind.TEXT,
    },
    default_order=(("properties/createdTimeUtc", True),),
    default_top=50,
    max_top=1000,
    key="name",
    token_name="$skipToken",  # noqa: S106 - the name of a query option
)


def operations() -> list[Operation]:
    """List the routes of comments and tasks."""
    comments, tasks = INCIDENT + "/comments", INCIDENT + "/tasks"
    read_comments, write_comments = sentinel_reads("comments"), sentinel_writes("comments")
    return [
        operation("GET", comments, list_comments, READ, read_comments),
        operation("GET", comments + "/{comment}", get_comment, READ, read_comments),
        operation("PUT", comments + "/{comment}", put_comment, RESPOND, write_comments),
        operation("DELETE", comments + "/{comment}", delete_comment, RESPOND),
        operation("GET", tasks, list_tasks, READ),
        operation("GET", tasks + "/{task}", get_task, READ),
        operation("PUT", tasks + "/{task}", put_task, RESPOND),
        operation("DELETE", tasks + "/{task}", delete_task, RESPOND),
    ]


def list_comments(call: Call, workspace: Workspace) -> Answer:
    """Answer one page of comments, newest first."""
    incident = get_incident(call, workspace)
    rows = [_show_comment(workspace, incident, c) for c in incident.comments.values()]
    return list_answer(call, rows, PAGING)


def get_comment(call: Call, workspace: Workspace) -> Answer:
    """Answer one comment."""
    incident = get_incident(call, workspace)
    comment = get_sub(incident.comments, call.parameters["comment"], "Comment")
    return Answer(body=_show_comment(workspace, incident, comment))


def put_comment(call: Call, workspace: Workspace) -> Answer:
    """Create a comment under the caller's name, or edit one; the incident's etag changes."""
    incident = get_incident(call, workspace)
    message = required_text(read_properties(call), "message", COMMENT_LENGTH)
    name = call.parameters["comment"]
    now = stamp(call.tenant.clock.shown())
    found = incident.comments.get(name)
    if found is None and len(incident.comments) >= COMMENTS_LIMIT:
        raise bad_request(f"An incident can have no more than {COMMENTS_LIMIT} comments.")
    comment = found or SubResource(
        name=name,
        properties={"message": "", "createdTimeUtc": now, "author": client_info(call)},
    )
    comment.properties |= {"message": message, "lastModifiedTimeUtc": now}
    comment.etag = new_etag()
    incident.comments[name] = comment
    workspace.touch(incident, by=call.caller.name)
    status = 201 if found is None else 200
    return Answer(status=status, body=_show_comment(workspace, incident, comment))


def delete_comment(call: Call, workspace: Workspace) -> Answer:
    """Delete a comment; 204 where there is none."""
    incident = get_incident(call, workspace)
    return delete_sub(call, workspace, incident, incident.comments, "comment")


def _show_comment(workspace: Workspace, incident: SentinelIncident, sub: SubResource) -> Json:
    path = f"Incidents/{incident.name}/Comments/{sub.name}"
    return show_sub(workspace, sub, path, "Incidents/Comments")


def list_tasks(call: Call, workspace: Workspace) -> Answer:
    """Answer one page of tasks."""
    incident = get_incident(call, workspace)
    rows = [_show_task(workspace, incident, task) for task in incident.tasks.values()]
    return list_answer(call, rows, PAGING)


def get_task(call: Call, workspace: Workspace) -> Answer:
    """Answer one task."""
    incident = get_incident(call, workspace)
    task = get_sub(incident.tasks, call.parameters["task"], "Task")
    return Answer(body=_show_task(workspace, incident, task))


def put_task(call: Call, workspace: Workspace) -> Answer:
    """Create or change a task."""
    incident, sent = get_incident(call, workspace), read_properties(call)
    status = enum_member(sent, "status", ("New", "Completed"))
    if status is None:
        raise bad_request("Required property 'status' is missing or empty.")
    changes: Json = {
        "title": required_text(sent, "title"),
        "description": optional_text(sent, "description", 3000),
        "status": status,
    }
    name, now = call.parameters["task"], stamp(call.tenant.clock.shown())
    found = incident.tasks.get(name)
    if found is None and len(incident.tasks) >= TASKS_LIMIT:
        raise bad_request(f"An incident can have no more than {TASKS_LIMIT} tasks.")
    if found is not None and call.json_object().get("etag"):
        check_etag(call, name, found.etag)
    made = {"createdTimeUtc": now, "createdBy": client_info(call)}
    task = found or SubResource(name=name, properties=made)
    task.properties |= changes | {"lastModifiedTimeUtc": now, "lastModifiedBy": client_info(call)}
    task.etag = new_etag()
    incident.tasks[name] = task
    workspace.touch(incident, by=call.caller.name)
    body = _show_task(workspace, incident, task)
    return Answer(status=201 if found is None else 200, body=body)


def delete_task(call: Call, workspace: Workspace) -> Answer:
    """Delete a task; 204 where there is none."""
    incident = get_incident(call, workspace)
    return delete_sub(call, workspace, incident, incident.tasks, "task")


def _show_task(workspace: Workspace, incident: SentinelIncident, sub: SubResource) -> Json:
    return show_sub(
        workspace, sub, f"Incidents/{incident.name}/Tasks/{sub.name}", "Incidents/Tasks"
    )


def delete_sub(
    call: Call,
    workspace: Workspace,
    incident: SentinelIncident,
    found: dict[str, SubResource],
    parameter: str,
) -> Answer:
    """Delete a sub-resource; 204 where there is none, 409 for a stale etag."""
    name = call.parameters[parameter]
    if name not in found:
        return Answer(status=204)
    sent = call.content and call.json_object().get("etag")
    if sent and sent.strip('"') != found[name].etag.strip('"'):
        raise conflict(name)
    del found[name]
    workspace.touch(incident, by=call.caller.name)
    return Answer(status=200)
