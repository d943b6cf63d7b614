"""Defender's incident queue: incidents and alerts as JSON, and everything that changes them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

from quell_microsoft.simulator.config import SimulatorConfig
from quell_microsoft.simulator.wire import Json, as_objects, as_text, as_texts

from .clock import SimulatedClock, later_than, stamp
from .items import Alert, Edit, Incident, Seen

CREATION = "Microsoft 365 Defender-IncidentCreation"
CORRELATION = "Microsoft 365 Defender-AlertCorrelation"
_SEVERITIES = ("unknown", "informational", "low", "medium", "high")


class Queue:
    """All incidents and alerts of the tenant."""

    def __init__(self, clock: SimulatedClock, config: SimulatorConfig, tenant_id: str) -> None:
        self.clock = clock
        self.config = config
        self.tenant_id = tenant_id
        self.incidents: dict[str, Incident] = {}
        self.alerts: dict[str, Alert] = {}
        self._members: dict[str, dict[str, None]] = {}
        self._last_number = 1000
        #: number of the newest edit of any incident
        self.last_edit = 0
        #: called with the id of every incident that came to be or changed, its alerts included
        self.on_change: Callable[[str], None] | None = None

    # reading ------------------------------------------------------------------------------

    def released(self) -> Iterator[Incident]:
        """Walk over the incidents that exist for clients."""
        return (incident for incident in self.incidents.values() if incident.released)

    def find_incident(self, incident_id: str) -> Incident | None:
        """Find an incident that exists for clients."""
        found = self.incidents.get(incident_id)
        return found if found is not None and found.released else None

    def find_alert(self, alert_id: str) -> Alert | None:
        """Find an alert that exists for clients."""
        found = self.alerts.get(alert_id)
        return found if found is not None and found.released else None

    def alerts_of(self, incident_id: str) -> list[Alert]:
        """List the alerts that belong to an incident now."""
        ids = self._members.get(incident_id, {})
        return [self.alerts[alert_id] for alert_id in ids]

    # putting in ---------------------------------------------------------------------------

    def add_incident(self, body: Json, *, released: bool = True, lags: bool = True) -> Incident:
        """Put an incident in, keeping every field it has; its `id` must be a free text."""
        incident = Incident(body=body, released=released)
        self.incidents[body["id"]] = incident
        if body["id"].isdigit() and len(body["id"]) < 16:
            self._last_number = max(self._last_number, int(body["id"]))
        if released and lags:
            self._publish(incident, None)
        return incident

    def add_alert(self, body: Json, incident_id: str | None, *, released: bool = True) -> Alert:
        """Put an alert in as a member of an incident."""
        alert = Alert(body=body, incident_id=incident_id, released=released)
        self.alerts[body["id"]] = alert
        if incident_id is not None:
            self._members.setdefault(incident_id, {})[body["id"]] = None
        if released:
            self._publish(alert, None)
        return alert

    def new_incident(self, fields: Json, *, released: bool = True) -> Incident:
        """Create an incident with every property that v1.0 shows."""
        incident_id = str(fields.get("id") or self.next_id())
        now = stamp(self.clock.shown())
        body: Json = {
            "id": incident_id,
            "tenantId": self.tenant_id,
            "status": "active",
            "incidentWebUrl": incident_url(incident_id, self.tenant_id),
            "redirectIncidentId": None,
            "displayName": "",
            "createdDateTime": now,
            "lastUpdateDateTime": now,
            "assignedTo": None,
            "classification": "unknown",
            "determination": "unknown",
            "severity": "medium",
            "customTags": [],
            "systemTags": [],
            "description": None,
            "lastModifiedBy": CREATION,
            "resolvingComment": None,
            "summary": None,
            "priorityScore": None,
            "comments": [],
        }
        return self.add_incident({**body, **fields, "id": incident_id}, released=released)

    def next_id(self) -> str:
        """Give the next incident number."""
        self._last_number += 1
        return str(self._last_number)

    def release(self, incident: Incident) -> None:
        """Let a prepared incident happen now, with its alerts."""
        now = stamp(self.clock.shown())
        incident.released = True
        incident.body["createdDateTime"] = incident.body["lastUpdateDateTime"] = now
        self._publish(incident, None)
        for alert in self.alerts_of(incident.body["id"]):
            alert.released = True
            alert.body["createdDateTime"] = alert.body["lastUpdateDateTime"] = now
            self._publish(alert, None)

    # changing -----------------------------------------------------------------------------

    def change_incident(self, incident: Incident, changes: Json, by: str) -> None:
        """Change fields of an incident and stamp it; resolving may cascade to its alerts."""
        before = copy.deepcopy(incident.body) if self.config.lag_seconds > 0 else None
        was_resolved = incident.body.get("status") == "resolved"
        owner = incident.body.get("assignedTo")
        self._note_edits(incident, changes, by)
        incident.body.update(changes)
        self._stamp(incident, before, by)
        if changes.get("status") == "resolved" and not was_resolved:
            self._cascade(incident, changes)
        if changes.get("assignedTo", owner) != owner and self.config.assign_cascades:
            self._assign_alerts(incident, changes["assignedTo"])

    def change_alert(self, alert: Alert, changes: Json, by: str) -> None:
        """Change fields of an alert; its incident is bumped too, as in the product."""
        before = copy.deepcopy(alert.body) if self.config.lag_seconds > 0 else None
        alert.body.update(changes)
        self._stamp_alert(alert, before)
        incident = self.incidents.get(alert.incident_id or "")
        if incident is not None:
            self.bump(incident, by)

    def bump(self, incident: Incident, by: str) -> None:
        """Stamp an incident whose alerts changed."""
        before = copy.deepcopy(incident.body) if self.config.lag_seconds > 0 else None
        self._stamp(incident, before, by)

    def comment(self, target: Incident | Alert, text: str, author: str) -> None:
        """Add a comment and stamp its target."""
        entry = {
            "comment": text,
            "createdByDisplayName": author,
            "createdDateTime": stamp(self.clock.shown()),
        }
        comments = [*as_objects(target.body.get("comments")), entry]
        if isinstance(target, Incident):
            self.change_incident(target, {"comments": comments}, author)
        else:
            self.change_alert(target, {"comments": comments}, author)

    def join_alert(self, body: Json, incident: Incident, by: str = CORRELATION) -> Alert:
        """Let a new alert join an incident, whose severity may rise."""
        body = {**body, "incidentId": incident.body["id"]}
        alert = self.add_alert(body, incident.body["id"])
        changes: Json = {}
        severity = as_text(body.get("severity"))
        if _rank(severity) > _rank(as_text(incident.body.get("severity"))):
            changes["severity"] = severity
        self.change_incident(incident, changes, by)
        return alert

    def move_alerts(self, alerts: Iterable[Alert], to: Incident, by: str) -> None:
        """Move alerts to another incident and bump both sides."""
        sources: dict[str, None] = {}
        for alert in alerts:
            if alert.incident_id is not None:
                sources[alert.incident_id] = None
                self._members.get(alert.incident_id, {}).pop(alert.body["id"], None)
            alert.incident_id = to.body["id"]
            self._members.setdefault(to.body["id"], {})[alert.body["id"]] = None
            self.change_alert(alert, {"incidentId": to.body["id"]}, by)
        for source in sources:
            if source in self.incidents and source != to.body["id"]:
                self.bump(self.incidents[source], by)

    def merge(self, losers: Iterable[Incident], winner: Incident, by: str = CORRELATION) -> None:
        """Merge incidents into one: alerts and tags move, comments stay, losers redirect."""
        for loser in losers:
            self.move_alerts(self.alerts_of(loser.body["id"]), winner, by)
            tags = as_texts(winner.body.get("customTags")) + as_texts(loser.body.get("customTags"))
            severity = max(
                as_text(winner.body.get("severity")),
                as_text(loser.body.get("severity")),
                key=_rank,
            )
            changes: Json = {"customTags": list(dict.fromkeys(tags)), "severity": severity}
            self.change_incident(winner, changes, by)
            redirect: Json = {"status": "redirected", "redirectIncidentId": winner.body["id"]}
            self.change_incident(loser, redirect, by)

    # inside -------------------------------------------------------------------------------

    def _note_edits(self, incident: Incident, changes: Json, by: str) -> None:
        now = stamp(self.clock.shown())
        for name, value in changes.items():
            if incident.body.get(name) != value:
                self.last_edit += 1
                incident.edits[name] = Edit(number=self.last_edit, by=by, at=now)

    def _assign_alerts(self, incident: Incident, owner: Any) -> None:
        for alert in self.alerts_of(incident.body["id"]):
            if alert.body.get("assignedTo") != owner:
                before = copy.deepcopy(alert.body) if self.config.lag_seconds > 0 else None
                alert.body["assignedTo"] = owner
                self._stamp_alert(alert, before)

    def _cascade(self, incident: Incident, changes: Json) -> None:
        if not self.config.resolve_cascades:
            return
        closing: Json = {"status": "resolved", "resolvedDateTime": stamp(self.clock.shown())}
        for name in ("classification", "determination"):
            if name in changes:
                closing[name] = changes[name]
        for alert in self.alerts_of(incident.body["id"]):
            if alert.body.get("status") != "resolved":
                before = copy.deepcopy(alert.body) if self.config.lag_seconds > 0 else None
                alert.body.update(closing)
                self._stamp_alert(alert, before)

    def _stamp(self, incident: Incident, before: Json | None, by: str) -> None:
        now = self.clock.shown()
        body = incident.body
        body["lastUpdateDateTime"] = later_than(body.get("lastUpdateDateTime"), now)
        body["lastModifiedBy"] = by
        self._publish(incident, before)

    def _stamp_alert(self, alert: Alert, before: Json | None) -> None:
        body = alert.body
        body["lastUpdateDateTime"] = later_than(body.get("lastUpdateDateTime"), self.clock.shown())
        self._publish(alert, before)

    def _tell(self, item: Seen) -> None:
        changed = item.incident_id if isinstance(item, Alert) else as_text(item.body.get("id"))
        if self.on_change is not None and changed and item.released:
            self.on_change(changed)

    def _publish(self, item: Seen, before: Json | None) -> None:
        self._tell(item)
        lag = self.config.lag_seconds
        if lag <= 0:
            item.pending.clear()
            return
        if not item.pending:
            item.shown = before
        version = copy.deepcopy(item.body)
        item.pending.append((self.clock.now() + timedelta(seconds=lag), version))


def _rank(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else 0


def incident_url(incident_id: str, tenant_id: str) -> str:
    """Write the portal's address of an incident, in its 2026 form."""
    return f"https://security.microsoft.com/incident2/{incident_id}/overview?tid={tenant_id}"


def any_json(value: Any) -> Any:
    """Copy a JSON value, so that the tenant's state cannot be reached through it."""
    return copy.deepcopy(value)
