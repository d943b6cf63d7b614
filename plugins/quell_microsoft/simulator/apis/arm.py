"""What every Sentinel operation shares: api-version, scope, roles, headers, lists, validation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from quell_microsoft.simulator.call import Call, Operation, forbidden
from quell_microsoft.simulator.listing import list_page, refuse_poison
from quell_microsoft.simulator.paging import Paging
from quell_microsoft.simulator.refusals import too_many
from quell_microsoft.simulator.state.registrations import (
    SENTINEL_CONTRIBUTOR,
    SENTINEL_READER,
    SENTINEL_RESPONDER,
)
from quell_microsoft.simulator.state.throttle import ARM_DELETES, ARM_READS, ARM_WRITES, Limit
from quell_microsoft.simulator.state.workspaces import SentinelIncident, SubResource, Workspace
from quell_microsoft.simulator.wire import Answer, Api, Json, Refusal, as_object

WORKSPACE = (
    "/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.OperationalInsights/workspaces/{workspace}"
)
ROOT = WORKSPACE + "/providers/Microsoft.SecurityInsights"
INCIDENT = ROOT + "/incidents/{incident}"
READ = (SENTINEL_READER, SENTINEL_RESPONDER, SENTINEL_CONTRIBUTOR)
RESPOND = (SENTINEL_RESPONDER, SENTINEL_CONTRIBUTOR)
CONTRIBUTE = (SENTINEL_CONTRIBUTOR,)
_VERSION = re.compile(r"\d{4}-\d\d-\d\d(-preview)?", re.ASCII)
_KINDS = {
    "GET": (ARM_READS, "reads"),
    "POST": (ARM_READS, "reads"),
    "PUT": (ARM_WRITES, "writes"),
    "DELETE": (ARM_DELETES, "deletes"),
}

SentinelEndpoint = Callable[[Call, Workspace], Answer]


def operation(
    method: str,
    template: str,
    endpoint: SentinelEndpoint,
    roles: tuple[str, ...],
    limit: Limit | None = None,
    *,
    is_write: bool | None = None,
) -> Operation:
    """Wrap a Sentinel endpoint with the checks that ARM does before the provider is asked."""

    def checked(call: Call) -> Answer:
        workspace = enter(call, roles, limit)
        answer = endpoint(call, workspace)
        _tell_remaining(call, answer)
        return answer

    writes = method in ("PUT", "DELETE") if is_write is None else is_write
    return Operation(
        api=Api.ARM, method=method, template=template, endpoint=checked, is_write=writes
    )


def enter(call: Call, roles: tuple[str, ...], limit: Limit | None) -> Workspace:
    """Check version, subscription, permission, throttle and workspace, in that order."""
    check_version(call)
    if call.parameters["subscription"].casefold() != call.tenant.subscription_id:
        text = f"The subscription '{call.parameters['subscription']}' could not be found."
        raise Refusal(404, "SubscriptionNotFound", text)
    if not set(roles) & set(call.caller.grants.get(Api.ARM, ())):
        raise forbidden(Api.ARM, call, roles)
    _throttle(call, limit)
    return _workspace(call)


def check_version(call: Call) -> str:
    """Refuse a request without a sound api-version, in ARM's words."""
    version = call.query.get("api-version")
    if version is None:
        text = "The api-version query parameter (?api-version=) is required for all requests."
        raise Refusal(400, "MissingApiVersionParameter", text)
    if not _VERSION.fullmatch(version):
        text = f"The api-version '{version}' is invalid."
        raise Refusal(400, "InvalidApiVersionParameter", text)
    return version


def _workspace(call: Call) -> Workspace:
    group, name = call.parameters["group"], call.parameters["workspace"]
    groups = {workspace.resource_group.casefold() for workspace in call.tenant.workspaces}
    if group.casefold() not in groups:
        text = f"Resource group '{group}' could not be found."
        raise Refusal(404, "ResourceGroupNotFound", text)
    workspace = call.tenant.find_workspace(group, name)
    if workspace is None:
        text = (
            f"The Resource 'Microsoft.OperationalInsights/workspaces/{name}' under resource group "
            f"'{group}' was not found."
        )
        raise Refusal(404, "ResourceNotFound", text)
    return workspace


def _throttle(call: Call, limit: Limit | None) -> None:
    scale = call.tenant.config.throttle_scale
    bucket, _ = _KINDS[call.method]
    for limit_now, caller in ((bucket, call.caller.client_id), (limit, "subscription")):
        if limit_now is None:
            continue
        wait = call.tenant.throttle.take(limit_now, caller, scale)
        if wait is not None:
            raise too_many(Api.ARM, wait)


def _tell_remaining(call: Call, answer: Answer) -> None:
    bucket, name = _KINDS[call.method]
    scale = call.tenant.config.throttle_scale
    left = call.tenant.throttle.remaining(bucket, call.caller.client_id, scale)
    answer.headers[f"x-ms-ratelimit-remaining-subscription-{name}"] = str(left)


def get_incident(call: Call, workspace: Workspace) -> SentinelIncident:
    """Find the incident of the call, or refuse."""
    name = call.parameters["incident"]
    incident = workspace.find(name)
    if incident is None:
        raise Refusal(404, "NotFound", f"Incident '{name}' was not found.")
    refuse_poison(call.tenant.config, incident.name)
    return incident


def get_sub(found: dict[str, SubResource], name: str, kind: str) -> SubResource:
    """Find a sub-resource by name, or refuse."""
    wanted = name.casefold()
    sub = next((sub for key, sub in found.items() if key.casefold() == wanted), None)
    if sub is None:
        raise Refusal(404, "NotFound", f"{kind} '{name}' was not found.")
    return sub


def show_sub(workspace: Workspace, sub: SubResource, path: str, kind: str) -> Json:
    """Wrap a sub-resource in its ARM envelope."""
    return {
        "id": workspace.arm_id(path),
        "name": sub.name,
        "type": f"Microsoft.SecurityInsights/{kind}",
        "etag": sub.etag,
        "properties": sub.properties,
    }


def list_answer(call: Call, rows: list[Json], paging: Paging) -> Answer:
    """Answer one page of an ARM list; the link is absolute and carries `$skipToken`."""
    page, link = list_page(call, rows, paging)
    body: Json = {"value": page.rows}
    if link is not None:
        body["nextLink"] = link
    return Answer(body=body)


def read_properties(call: Call) -> Json:
    """Read the `properties` of a PUT body."""
    body = call.json_object()
    properties = body.get("properties")
    if not isinstance(properties, dict):
        raise bad_request("The request body must have 'properties'.")
    return as_object(properties)  # pyright: ignore[reportUnknownArgumentType]


def check_etag(call: Call, name: str, current: str) -> None:
    """Refuse a write whose body lacks the present etag, in the recorded words."""
    sent = call.json_object().get("etag")
    if not isinstance(sent, str) or sent.strip('"') != current.strip('"'):
        raise conflict(name)


def conflict(name: str) -> Refusal:
    """Refuse a stale write; the text is what public bug reports show."""
    text = f"Newer version of resource '{name}' exists. Data was not saved"
    return Refusal(409, "Conflict", text)


def bad_request(text: str) -> Refusal:
    """Refuse a body that fails validation."""
    return Refusal(400, "BadRequest", text)


def required_text(properties: Json, name: str, limit: int | None = None) -> str:
    """Read a text that must be there and not be empty."""
    value = properties.get(name)
    if not isinstance(value, str) or not value.strip():
        raise bad_request(f"Required property '{name}' is missing or empty.")
    if limit is not None and len(value) > limit:
        raise bad_request(f"Property '{name}' must not be longer than {limit} characters.")
    return value


def optional_text(properties: Json, name: str, limit: int | None = None) -> str | None:
    """Read a text that may be missing."""
    value = properties.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise bad_request(f"Property '{name}' must be a string.")
    if limit is not None and len(value) > limit:
        raise bad_request(f"Property '{name}' must not be longer than {limit} characters.")
    return value


def enum_member(properties: Json, name: str, members: tuple[str, ...]) -> str | None:
    """Read an enum value, whatever its case; None where it is missing."""
    value: Any = properties.get(name)
    if value is None:
        return None
    found = next((m for m in members if str(value).casefold() == m.casefold()), None)
    if found is None:
        raise bad_request(f"Invalid value '{value}' for property '{name}'.")
    return found


def client_info(call: Call) -> Json:
    """Describe the caller as author of a comment or task: an app has no mail address."""
    app = call.caller
    return {
        "objectId": app.object_id,
        "email": None,
        "name": app.name,
        "userPrincipalName": None,
    }
