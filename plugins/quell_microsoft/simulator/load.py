"""Fills the tenant from recorded Graph JSON, and with what its evidence speaks of.

What is stored stays as it was recorded, field for field; only what a list cannot do without is
added where it is missing (an incident's stamps, an alert's incident id).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from .load_sentinel import FoundSentinel, add_sentinel
from .odata import as_list
from .state.clock import sortable, stamp
from .state.tenant import Tenant
from .unloaded import why_not
from .wire import Json, as_object, as_objects, as_text, new_guid
from .witness import add_witnesses

_MAX_DEPTH = 12
INCIDENT_TYPE = "#microsoft.graph.security.incident"
ALERT_TYPE = "#microsoft.graph.security.alert"


@dataclass(slots=True)
class Found:
    """What the files hold, each with the name of its file."""

    incidents: list[tuple[str, Json]] = field(default_factory=list[tuple[str, Json]])
    alerts: list[tuple[str, Json]] = field(default_factory=list[tuple[str, Json]])
    users: list[tuple[str, Json]] = field(default_factory=list[tuple[str, Json]])
    machines: list[tuple[str, Json]] = field(default_factory=list[tuple[str, Json]])
    actions: list[tuple[str, Json]] = field(default_factory=list[tuple[str, Json]])
    sentinel: FoundSentinel = field(default_factory=FoundSentinel)

    def count(self) -> int:
        """Count everything found so far."""
        lists = (self.incidents, self.alerts, self.users, self.machines, self.actions)
        return sum(map(len, lists)) + self.sentinel.count()


def load_directory(tenant: Tenant, directory: Path) -> None:
    """Load every `*.json` below a directory; what cannot be read is named in `tenant.skipped`."""
    found = Found()
    files = sorted(path for path in directory.rglob("*.json") if path.is_file())
    if not files:
        tenant.skipped.append(f"{directory}: no *.json in it")
    for path in files:
        _load_file(tenant, path, path.relative_to(directory).as_posix(), found)
    for name, body in found.users:
        _add_user(tenant, name, body)
    for name, body in found.machines:
        if body["id"] not in tenant.devices.machines:
            tenant.devices.add_machine(body)
        else:
            tenant.skipped.append(f"{name}: machine {body['id'][:64]} is there already")
    for name, body in found.actions:
        if body["id"] not in tenant.devices.actions:
            tenant.devices.actions[body["id"]] = body
        else:
            tenant.skipped.append(f"{name}: action {body['id'][:64]} is there already")
    add_sentinel(tenant, found.sentinel)
    for name, body in found.incidents:
        _add_incident(tenant, name, body)
    for name, body in found.alerts:
        _add_alert(tenant, name, body, None)


def _load_file(tenant: Tenant, path: Path, name: str, found: Found) -> None:
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        tenant.skipped.append(f"{name}: {error.strerror}")
        return
    before = found.count()
    documents: list[Any] = []
    try:
        for document in _documents(text):
            documents.append(document)
            _collect(document, name, found, 0)
    except (ValueError, RecursionError):
        tenant.skipped.append(f"{name}: not JSON")
        return
    if found.count() == before:
        tenant.skipped.append(f"{name}: {why_not(documents)}")


def _documents(text: str) -> Iterator[Any]:
    """Read one document, or one per line."""
    try:
        yield json.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        for line in lines:
            yield json.loads(line)


def _collect(value: Any, name: str, found: Found, depth: int) -> None:
    """Look for incidents and alerts in whatever they are wrapped in."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in as_list(value):
            _collect(item, name, found, depth + 1)
    elif isinstance(value, dict):
        body = cast("Json", value)
        about = as_text(as_object(body.get("parameters")).get("incidentId"))
        found.sentinel.about = about or (found.sentinel.about if depth else "")
        if not _sort_in(body, name, found):
            for item in body.values():
                _collect(item, name, found, depth + 1)
    elif isinstance(value, str) and value.lstrip()[:1] == "{" and '"' in value:
        # log pipelines keep the original event as text
        try:
            _collect(json.loads(value), name, found, depth + 1)
        except (ValueError, RecursionError):
            return


def _sort_in(body: Json, name: str, found: Found) -> bool:
    if isinstance(body.get("id"), int) and not isinstance(body["id"], bool):
        body = {**body, "id": str(body["id"])}
    if found.sentinel.take(name, body):
        return True
    if not as_text(body.get("id")):
        return False
    if as_text(body.get("machineId")) and "requestor" in body and as_text(body.get("type")):
        found.actions.append((name, body))
    elif _is_alert(body):
        found.alerts.append((name, body))
    elif _is_incident(body):
        found.incidents.append((name, body))
    elif "userPrincipalName" in body and isinstance(body.get("accountEnabled"), bool):
        found.users.append((name, body))
    elif as_text(body.get("computerDnsName")) and "osPlatform" in body:
        found.machines.append((name, body))
    else:
        return False
    return True


def _is_alert(body: Json) -> bool:
    if body.get("@odata.type") == ALERT_TYPE:
        return True
    is_marked = "alertWebUrl" in body or "providerAlertId" in body or "evidence" in body
    return (is_marked and "title" in body) or {"title", "serviceSource", "severity"} <= set(body)


def _is_incident(body: Json) -> bool:
    if body.get("@odata.type") == INCIDENT_TYPE:
        return True
    names = set(body)
    has_link = "redirectIncidentId" in names or "incidentWebUrl" in names
    return "displayName" in names and (has_link or {"status", "severity"} <= names)


def _add_user(tenant: Tenant, name: str, body: Json) -> None:
    if tenant.users.find(body["id"]) is None:
        tenant.users.add({**body, "userPrincipalName": as_text(body["userPrincipalName"])})
    else:
        tenant.skipped.append(f"{name}: user {body['id'][:64]} is there already")


def _add_incident(tenant: Tenant, name: str, recorded: Json) -> None:
    body = dict(recorded)
    alerts = as_objects(body.pop("alerts", None))
    known = tenant.queue.incidents.get(body["id"])
    now = stamp(tenant.clock.shown())
    for field_name in ("createdDateTime", "lastUpdateDateTime"):
        if sortable(body.get(field_name)) is None:
            body[field_name] = body.get("createdDateTime") or now
    if known is not None and _is_later(known.body, body):
        tenant.skipped.append(f"{name}: incident {body['id'][:64]} is there in a later version")
    else:
        if known is not None:
            tenant.skipped.append(f"{name}: replaces an earlier version of {body['id'][:64]}")
        tenant.queue.add_incident(body, lags=False)
    for alert in alerts:
        _add_alert(tenant, name, alert, body["id"])


def _is_later(left: Json, right: Json) -> bool:
    mine, other = sortable(left["lastUpdateDateTime"]), sortable(right["lastUpdateDateTime"])
    return mine is not None and (other is None or mine >= other)


def _add_alert(tenant: Tenant, name: str, recorded: Json, incident_id: str | None) -> None:
    body = dict(recorded)
    alert_id = body.get("id")
    if isinstance(alert_id, int):
        alert_id = body["id"] = str(alert_id)
    if not isinstance(alert_id, str) or not alert_id:
        tenant.skipped.append(f"{name}: an alert without an id")
        return
    if alert_id in tenant.queue.alerts:
        tenant.skipped.append(f"{name}: alert {alert_id[:64]} is there already")
        return
    now = stamp(tenant.clock.shown())
    for field_name in ("createdDateTime", "lastUpdateDateTime"):
        if sortable(body.get(field_name)) is None:
            body[field_name] = body.get("createdDateTime") or now
    owner = incident_id or _owner(tenant, body)
    if not as_text(body.get("incidentId")):
        body["incidentId"] = owner
    tenant.queue.add_alert(body, owner)
    add_witnesses(tenant, as_object(body))


def _owner(tenant: Tenant, alert: Json) -> str:
    """Find the incident of an alert that came alone, or derive one from it."""
    wanted = alert.get("incidentId")
    incident_id = str(wanted) if isinstance(wanted, str | int) and wanted != "" else ""
    incident_id = incident_id or tenant.queue.next_id()
    known = tenant.queue.incidents.get(incident_id)
    if known is not None:
        _grow(known.body, alert)
        return incident_id
    fields: Json = {
        "id": incident_id,
        "displayName": as_text(alert.get("title")) or "Incident " + new_guid(),
        "severity": as_text(alert.get("severity")) or "medium",
        "createdDateTime": alert["createdDateTime"],
        "lastUpdateDateTime": alert["lastUpdateDateTime"],
    }
    incident = tenant.queue.new_incident(fields)
    incident.pending.clear()
    return incident_id


def _grow(incident: Json, alert: Json) -> None:
    """Keep a derived incident as recent as its latest alert; a recorded one stays as it was."""
    mine = sortable(incident.get("lastUpdateDateTime"))
    other = sortable(alert.get("lastUpdateDateTime"))
    if mine is not None and other is not None and other > mine:
        incident["lastUpdateDateTime"] = alert["lastUpdateDateTime"]
