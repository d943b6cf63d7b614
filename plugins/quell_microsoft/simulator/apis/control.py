"""The simulator's own API under `/_simulator`: looking at facts, ordering faults, turning knobs."""

from __future__ import annotations

import hmac
from typing import Any

import msgspec

from quell_microsoft.simulator.call import Call, Endpoint, Operation
from quell_microsoft.simulator.config import changed
from quell_microsoft.simulator.state.clock import stamp
from quell_microsoft.simulator.state.collection import declare
from quell_microsoft.simulator.state.faults import FaultRule
from quell_microsoft.simulator.state.tenant import CannedHunt
from quell_microsoft.simulator.wire import Answer, Api, Json, Refusal, as_objects, as_text, as_texts

ROOT = "/_simulator"


def operations() -> list[Operation]:
    """List the routes for looking and for turning knobs."""
    return [
        control("GET", "/facts", facts),
        control("GET", "/calls", calls),
        control("GET", "/writes", writes),
        control("GET", "/faults", get_faults),
        control("PUT", "/faults", put_faults),
        control("GET", "/config", get_config),
        control("PUT", "/config", put_config),
        control("PATCH", "/config", put_config),
        control("GET", "/story", story),
        control("POST", "/release", release),
        control("POST", "/clock/advance", advance),
        control("POST", "/hunts", add_hunt),
        control("GET", "/ingested", ingested),
        control("PUT", "/collection-rule", put_rule),
        control("GET", "/overwrites", overwrites),
    ]


def control(method: str, path: str, endpoint: Endpoint) -> Operation:
    """Wrap an endpoint with the check of the control token."""

    def guarded(call: Call) -> Answer:
        sent = call.headers.get("x-simulator-token", "")
        if not hmac.compare_digest(sent.encode(), call.tenant.control_token.encode()):
            raise Refusal(401, "Unauthorized", "Header X-Simulator-Token is missing or wrong.")
        return endpoint(call)

    return Operation(api=Api.CONTROL, method=method, template=ROOT + path, endpoint=guarded)


def facts(call: Call) -> Answer:
    """Answer what is so in the tenant, with how often it was brought about."""
    tenant = call.tenant
    return Answer(
        body={
            "now": stamp(tenant.clock.shown()),
            "machines": [_machine(call, machine_id) for machine_id in tenant.devices.machines],
            "users": [_user(call, user_id) for user_id in tenant.users.users],
            "messages": [_message(call, key) for key in tenant.mail.messages],
            "remediations": [
                {
                    "id": remediation.id,
                    "displayName": remediation.name,
                    "action": remediation.action,
                    "state": remediation.state,
                    "targets": [list(target) for target in remediation.targets],
                    "results": remediation.results,
                }
                for remediation in tenant.mail.remediations
            ],
            "incidents": _incidents(call),
            "sentinel": [_workspace(call, index) for index in range(len(tenant.workspaces))],
            "ingested": {stream: len(rows) for stream, rows in tenant.ingested.items()},
            "calls": tenant.ledger.calls_as_json(),
            "skipped": tenant.skipped,
        }
    )


def _machine(call: Call, machine_id: str) -> Json:
    machine = call.tenant.devices.machines[machine_id]
    return {
        "id": machine_id,
        "computerDnsName": machine.body["computerDnsName"],
        "isolated": machine.is_isolated,
        "restricted": machine.is_restricted,
        "online": machine.is_online,
        "accepted": dict(machine.accepted),
        "completed": dict(machine.completed),
    }


def _user(call: Call, user_id: str) -> Json:
    user = call.tenant.users.users[user_id]
    return {
        "id": user_id,
        "userPrincipalName": user.body["userPrincipalName"],
        "accountEnabled": user.body["accountEnabled"],
        "adEnabled": user.ad_enabled if user.is_synced else None,
        "synced": user.is_synced,
        "adminRoles": user.admin_roles,
        "signInSessionsValidFromDateTime": user.body["signInSessionsValidFromDateTime"],
        "effects": dict(user.effects),
    }


def _message(call: Call, key: tuple[str, str]) -> Json:
    message = call.tenant.mail.messages[key]
    return {
        "networkMessageId": message.body["networkMessageId"],
        "recipientEmailAddress": message.body["recipientEmailAddress"],
        "location": message.location,
        "purged": message.is_purged,
        "effects": dict(message.effects),
    }


def _incidents(call: Call) -> list[Json]:
    queue = call.tenant.queue
    names = (
        "id",
        "displayName",
        "status",
        "severity",
        "assignedTo",
        "redirectIncidentId",
        "lastModifiedBy",
    )
    return [
        {
            **{name: incident.body.get(name) for name in names},
            "released": incident.released,
            "alerts": len(queue.alerts_of(incident.body["id"])),
            "comments": len(as_objects(incident.body.get("comments"))),
        }
        for incident in queue.incidents.values()
    ]


def _workspace(call: Call, index: int) -> Json:
    workspace = call.tenant.workspaces[index]
    shown = ("title", "severity", "status", "providerName", "providerIncidentId", "incidentNumber")
    incidents = [
        {
            "name": incident.name,
            **{name: incident.properties.get(name) for name in shown},
            "comments": len(incident.comments),
            "alerts": len(incident.alerts),
            "labels": [
                as_text(label.get("labelName"))
                for label in as_objects(incident.properties.get("labels"))
            ],
        }
        for incident in workspace.incidents.values()
    ]
    return {
        "resourceGroup": workspace.resource_group,
        "name": workspace.name,
        "workspaceId": workspace.guid,
        "incidents": incidents,
    }


def calls(call: Call) -> Answer:
    """Answer how often each route was called, by status."""
    return Answer(body={"value": call.tenant.ledger.calls_as_json()})


def writes(call: Call) -> Answer:
    """Answer the journal of accepted writes."""
    return Answer(body={"value": call.tenant.ledger.writes})


def get_faults(call: Call) -> Answer:
    """Answer the fault rules in force, counted down so far."""
    return Answer(body={"value": msgspec.to_builtins(call.tenant.faults.rules)})


def put_faults(call: Call) -> Answer:
    """Put fault rules in force, in place of the old ones."""
    body: Any = call.json()
    rules: Any = body.get("value") if isinstance(body, dict) else body  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
    try:
        call.tenant.faults.replace(msgspec.convert(rules, list[FaultRule], strict=False))
    except ValueError as error:
        raise Refusal(400, "BadRequest", str(error)) from error
    return get_faults(call)


def get_config(call: Call) -> Answer:
    """Answer the knobs as they stand."""
    return Answer(body=msgspec.to_builtins(call.tenant.config))


def put_config(call: Call) -> Answer:
    """Turn the knobs that are named."""
    try:
        call.tenant.configure(changed(call.tenant.config, call.json_object()))
    except msgspec.ValidationError as error:
        raise Refusal(400, "BadRequest", str(error)) from error
    return get_config(call)


def story(call: Call) -> Answer:
    """Answer which incidents play which part, and what ought to happen to whom."""
    return Answer(body=call.tenant.story)


def release(call: Call) -> Answer:
    """Let prepared incidents happen: the next `count`, or those named in `ids`."""
    body, queue = call.json_object(), call.tenant.queue
    waiting = [incident for incident in queue.incidents.values() if not incident.released]
    if "ids" in body:
        ids = as_texts(body["ids"])
        chosen = [incident for incident in waiting if incident.body["id"] in ids]
    else:
        count = body.get("count")
        chosen = waiting[: count if isinstance(count, int) else len(waiting)]
    for incident in chosen:
        queue.release(incident)
    left = len(waiting) - len(chosen)
    return Answer(body={"released": [item.body["id"] for item in chosen], "waiting": left})


def advance(call: Call) -> Answer:
    """Move the tenant's clock ahead; what falls due on the way happens."""
    seconds = call.json_object().get("seconds")
    if not isinstance(seconds, int | float) or seconds < 0:
        raise Refusal(400, "BadRequest", "A number of seconds is needed.")
    clock = call.tenant.clock
    clock.advance(float(seconds))
    clock.settle()
    return Answer(body={"now": stamp(clock.shown())})


def add_hunt(call: Call) -> Answer:
    """Register an answer for hunting queries that match a pattern."""
    body = call.json_object()
    results = as_objects(body.get("results"))
    schema = as_objects(body.get("schema")) or [
        {"name": name, "type": "String"} for name in (results[0] if results else {})
    ]
    call.tenant.hunts.append(CannedHunt(as_text(body.get("pattern")), schema, results))
    return Answer(body={"registered": len(call.tenant.hunts)})


def put_rule(call: Call) -> Answer:
    """Declare the data collection rule, as it would be deployed: streams, columns, data flows."""
    try:
        rule = declare(call.json_object())
    except ValueError as error:
        raise Refusal(400, "InvalidPayload", str(error)) from error
    call.tenant.collection = rule
    return Answer(body={"streams": rule.streams, "tables": rule.tables})


def overwrites(call: Call) -> Answer:
    """Answer which edits a client overwrote unseen, and how many inside a GET-PATCH window."""
    return Answer(body=call.tenant.overwrites.as_json())


def ingested(call: Call) -> Answer:
    """Answer the rows that came in through the Logs Ingestion API."""
    return Answer(body=call.tenant.ingested)
