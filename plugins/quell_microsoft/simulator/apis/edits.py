"""Edits from behind the scenes, as analysts and the products themselves would make them."""

from __future__ import annotations

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.state.clock import stamp
from quell_microsoft.simulator.state.items import Incident
from quell_microsoft.simulator.state.queue import CORRELATION
from quell_microsoft.simulator.wire import (
    Answer,
    Api,
    Json,
    Refusal,
    as_object,
    as_objects,
    as_text,
    as_texts,
    new_guid,
)

from .control import control


def operations() -> list[Operation]:
    """List the routes that change the tenant."""
    defender = "/defender/incidents"
    return [
        control("POST", defender, create_incident),
        control("GET", defender + "/{incident}", get_incident),
        control("POST", "/defender/alerts", create_alert),
        control("PATCH", defender + "/{incident}", edit_incident),
        control("POST", defender + "/{incident}/comments", comment_incident),
        control("POST", defender + "/{incident}/alerts", add_alert),
        control("POST", "/defender/merge", merge),
        control("POST", "/defender/move", move),
        control("POST", "/machines", create_machine),
        control("PATCH", "/machines/{machine}", edit_machine),
        control("POST", "/users", create_user),
        control("PATCH", "/users/{user}", edit_user),
        control("POST", "/messages", create_message),
        control("PATCH", "/apps/{role}", edit_app),
    ]


def create_incident(call: Call) -> Answer:
    """Create a Defender incident with the alerts in its `alerts`."""
    body, queue = dict(call.json_object()), call.tenant.queue
    alerts = as_objects(body.pop("alerts", []))
    incident = queue.new_incident(body)
    for alert in alerts:
        queue.add_alert(_filled(call, alert, incident), incident.body["id"])
    return Answer(status=201, body=incident.body)


def get_incident(call: Call) -> Answer:
    """Answer a Defender incident with its alerts, as they are now."""
    incident = _incident(call, call.parameters["incident"])
    alerts = [alert.body for alert in call.tenant.queue.alerts_of(incident.body["id"])]
    return Answer(body={**incident.body, "alerts": alerts})


def create_alert(call: Call) -> Answer:
    """Raise an alert that belongs to no incident, as some alert policies do."""
    body = {**_filled(call, call.json_object(), None), "incidentId": None}
    return Answer(status=201, body=call.tenant.queue.add_alert(body, None).body)


def edit_incident(call: Call) -> Answer:
    """Change a Defender incident in an analyst's name; `author` says whose."""
    body, incident = dict(call.json_object()), _incident(call, call.parameters["incident"])
    author = as_text(body.pop("author", "")) or "analyst@" + call.tenant.domain
    body.pop("id", None)
    call.tenant.queue.change_incident(incident, body, author)
    # a stamp that was asked for stays: 200 incidents may have one, or one lie in the past
    incident.body |= {name: body[name] for name in ("lastUpdateDateTime",) if name in body}
    return Answer(body=incident.body)


def comment_incident(call: Call) -> Answer:
    """Comment on a Defender incident in an analyst's name."""
    body, incident = call.json_object(), _incident(call, call.parameters["incident"])
    author = as_text(body.get("author")) or "analyst@" + call.tenant.domain
    call.tenant.queue.comment(incident, as_text(body.get("comment")), author)
    return Answer(status=201, body=incident.body)


def add_alert(call: Call) -> Answer:
    """Let another alert join a Defender incident; a closed one is never reopened by it."""
    incident, queue = _incident(call, call.parameters["incident"]), call.tenant.queue
    if incident.body.get("status") == "resolved":
        incident = queue.new_incident({"displayName": incident.body.get("displayName")})
    alert = queue.join_alert(_filled(call, call.json_object(), incident), incident)
    return Answer(status=201, body=alert.body)


def merge(call: Call) -> Answer:
    """Merge `losers` into `winner`, as correlation does."""
    body = call.json_object()
    losers = [_incident(call, loser) for loser in as_texts(body.get("losers"))]
    winner = _incident(call, as_text(body.get("winner")))
    call.tenant.queue.merge(losers, winner)
    return Answer(body=winner.body)


def move(call: Call) -> Answer:
    """Move `alerts` to `incident`, as correlation does."""
    body, queue = call.json_object(), call.tenant.queue
    target = _incident(call, as_text(body.get("incident")))
    alerts = [queue.alerts[name] for name in as_texts(body.get("alerts")) if name in queue.alerts]
    queue.move_alerts(alerts, target, CORRELATION)
    return Answer(body=target.body)


def create_machine(call: Call) -> Answer:
    """Add a machine to the tenant."""
    return Answer(status=201, body=call.tenant.devices.add_machine(call.json_object()).body)


def edit_machine(call: Call) -> Answer:
    """Connect or disconnect a machine (`online`), or set fields of it."""
    body, devices = dict(call.json_object()), call.tenant.devices
    machine = devices.machines.get(call.parameters["machine"])
    if machine is None:
        raise not_found(call.parameters["machine"])
    online, isolated = body.pop("online", None), body.pop("isolated", None)
    if isinstance(online, bool):
        devices.set_online(machine, online)
    if isinstance(isolated, bool):
        # an analyst did it in the portal: the portal leaves a machine action too
        kind = "Isolate" if isolated else "Unisolate"
        devices.start(machine, kind, requestor="analyst@" + call.tenant.domain, comment="portal")
    machine.body.update(body)
    return Answer(body=machine.body)


def create_user(call: Call) -> Answer:
    """Add a user to the tenant; `adminRoles` makes an admin of it."""
    body = dict(call.json_object())
    roles = tuple(as_texts(body.pop("adminRoles", [])))
    return Answer(status=201, body=call.tenant.users.add(body, admin_roles=roles).body)


def edit_user(call: Call) -> Answer:
    """Set fields of a user; `adEnabled` is the account in Active Directory."""
    body = dict(call.json_object())
    user = call.tenant.users.find(call.parameters["user"])
    if user is None:
        raise not_found(call.parameters["user"])
    ad_enabled = body.pop("adEnabled", None)
    if isinstance(ad_enabled, bool):
        user.ad_enabled = ad_enabled
    user.body.update(body)
    return Answer(body=user.body)


def create_message(call: Call) -> Answer:
    """Deliver one copy of a mail."""
    body = dict(call.json_object())
    for name in ("networkMessageId", "recipientEmailAddress"):
        if not as_text(body.get(name)):
            raise Refusal(400, "BadRequest", f"A message needs '{name}'.")
    return Answer(status=201, body=call.tenant.mail.add(body).body)


def edit_app(call: Call) -> Answer:
    """Change an app: `grants` by API, `secretExpired`, `certificate` (PEM)."""
    body = call.json_object()
    app = call.tenant.registrations.get(call.parameters["role"])
    if app is None:
        raise not_found(call.parameters["role"])
    for name, roles in as_object(body.get("grants")).items():
        if name not in tuple(Api):
            raise Refusal(400, "BadRequest", f"There is no API '{name}'.")
        app.grants[Api(name)] = tuple(as_texts(roles))
    app.is_secret_expired = body.get("secretExpired", app.is_secret_expired) is True
    app.certificate = as_text(body.get("certificate")) or app.certificate
    grants = {api.value: list(roles) for api, roles in app.grants.items()}
    return Answer(body={"name": app.name, "clientId": app.client_id, "grants": grants})


def _filled(call: Call, alert: Json, incident: Incident | None) -> Json:
    now = stamp(call.tenant.clock.shown())
    alert_id = as_text(alert.get("id")) or "da" + new_guid()
    incident_id = incident.body["id"] if incident else None
    base: Json = {
        "id": alert_id,
        "providerAlertId": alert_id[2:],
        "incidentId": incident_id,
        "tenantId": call.tenant.tenant_id,
        "status": "new",
        "severity": "medium",
        "classification": None,
        "determination": None,
        "serviceSource": "microsoftDefenderForEndpoint",
        "detectionSource": "microsoftDefenderForEndpoint",
        "productName": "Microsoft Defender for Endpoint",
        "title": "Suspicious activity",
        "createdDateTime": now,
        "lastUpdateDateTime": now,
        "firstActivityDateTime": now,
        "lastActivityDateTime": now,
        "comments": [],
        "evidence": [],
    }
    return {**base, **as_object(alert), "id": alert_id, "incidentId": incident_id}


def _incident(call: Call, incident_id: str) -> Incident:
    incident = call.tenant.queue.incidents.get(incident_id)
    if incident is None:
        raise not_found(incident_id)
    return incident


def not_found(what: str) -> Refusal:
    return Refusal(404, "NotFound", f"There is no {what} in this tenant.")
