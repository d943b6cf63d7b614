"""Microsoft's own connector: copies Defender incidents into the first workspace, off by default.

A new incident shows after `connector_delay_seconds`; a change of one that has its copy travels
after `connector_field_seconds`, with whatever else changed meanwhile. Each field travels by
itself: Defender's own fields one way, status, owner and verdict both ways, new comments both ways.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .connector_view import (
    BACK,
    alert_entity,
    alert_name,
    backward,
    defender_view,
    relabel,
    sentinel_view,
    tags_of,
)
from .entities import entities_of
from .state.clock import stamp
from .state.items import Incident
from .state.tenant import Tenant
from .state.workspaces import SentinelIncident, SubResource, Workspace
from .wire import Json, as_objects, as_text, new_guid

ALERT_CAP, COMMENT_CAP = 150, 100
_SYNC_ACTOR = "Microsoft Defender XDR - alert correlation"
_BACK_ACTOR = "Microsoft Sentinel"


@dataclass(slots=True)
class Pair:
    """An incident and its copy, and what both said when they were last alike."""

    copy: SentinelIncident
    defender: dict[str, Json] = field(default_factory=dict[str, Json])
    sentinel: dict[str, Json] = field(default_factory=dict[str, Json])
    #: tags that the connector brought
    brought: list[str] = field(default_factory=list[str])
    #: how many of Defender's comments, and which of Sentinel's, were carried or are carried over
    comments: int = 0
    messages: set[str] = field(default_factory=set[str])
    alerts: set[str] = field(default_factory=set[str])


class Connector:
    """Keeps the copies in step with Defender's queue, change by change."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._pairs: dict[str, Pair] = {}
        #: incidents that a timer is set for
        self._waiting: set[str] = set()
        #: incidents that changed while the connector was off or stuck
        self._missed: dict[str, None] = {}
        self._was_on = False

    def begin(self) -> None:
        """Listen to both queues, and look now and then for what was missed."""
        self._tenant.queue.on_change = self._changed
        self._workspace.on_change = self._copy_changed
        self._plan()

    def run(self) -> None:
        """Carry everything now, whatever the knobs say."""
        self._missed.clear()
        self._carry_all([incident.body["id"] for incident in self._tenant.queue.released()])

    @property
    def _workspace(self) -> Workspace:
        return self._tenant.workspaces[0]

    @property
    def _works(self) -> bool:
        config = self._tenant.config
        return config.connector and not config.connector_stuck

    def _plan(self) -> None:
        delay = max(1.0, self._tenant.config.connector_delay_seconds)
        self._tenant.clock.after(delay, self._turn)

    def _turn(self) -> None:
        self._notice_switch()
        if self._works:
            missed = list(self._missed)
            self._missed.clear()
            self._carry_all(missed)
        self._plan()

    def _notice_switch(self) -> None:
        """When it is switched on, older incidents are missed ones, unless the knob says no."""
        is_on = self._tenant.config.connector
        if is_on and not self._was_on:
            if self._tenant.config.connector_backfill:
                released = self._tenant.queue.released()
                self._missed |= dict.fromkeys(incident.body["id"] for incident in released)
            else:
                self._missed = {key: None for key in self._missed if key in self._pairs}
        self._was_on = is_on

    def _copy_changed(self, copy: SentinelIncident) -> None:
        if copy.is_connector_copy:
            self._changed(as_text(copy.properties.get("providerIncidentId")))

    def _changed(self, incident_id: str) -> None:
        self._notice_switch()
        if not self._works:
            self._missed[incident_id] = None
        elif incident_id not in self._waiting:
            self._waiting.add(incident_id)
            config = self._tenant.config
            is_known = incident_id in self._pairs
            wait = config.connector_field_seconds if is_known else config.connector_delay_seconds
            self._tenant.clock.after(wait, lambda: self._fire(incident_id))

    def _fire(self, incident_id: str) -> None:
        self._waiting.discard(incident_id)
        if self._works:
            self._carry_all([incident_id])
        else:
            self._missed[incident_id] = None

    def _carry_all(self, incident_ids: Iterable[str]) -> None:
        for incident_id in incident_ids:
            incident = self._tenant.queue.find_incident(incident_id)
            if incident is not None:
                self._carry_one(incident)

    def _carry_one(self, incident: Incident) -> None:
        incident_id = incident.body["id"]
        pair = self._pairs.get(incident_id)
        if pair is not None and self._workspace.find(pair.copy.name) is not pair.copy:
            # deleted by hand: only a further alert makes a new one
            if self._alert_ids(incident_id) <= pair.alerts:
                return
            pair = None
        if pair is None:
            pair = self._adopt(incident)
        if pair is not None:
            self._carry_fields(incident, pair)
            self._attach(incident, pair)
            self._comments(incident, pair)

    def _adopt(self, incident: Incident) -> Pair | None:
        """Find the copy, or make one; what was merged before it had a copy gets none (Assumed)."""
        incident_id, workspace = incident.body["id"], self._workspace
        copy = workspace.find_copy_of(incident_id)
        if copy is None:
            if incident.body.get("status") == "redirected":
                return None
            properties: Json = {
                "title": "",
                "status": "New",
                **self._first_words(incident),
                "providerName": self._tenant.config.connector_provider,
                "providerIncidentId": incident_id,
            }
            copy = workspace.create(new_guid(), properties, by=_SYNC_ACTOR)
        pair = self._pairs[incident_id] = Pair(copy, messages=set(copy.comments))
        return pair

    def _first_words(self, incident: Incident) -> Json:
        words: Json = {}
        for said in self._view(incident).values():
            words |= said
        tags = tags_of(incident.body)
        return {**words, "labels": [{"labelName": t, "labelType": "AutoAssigned"} for t in tags]}

    def _view(self, incident: Incident) -> dict[str, Json]:
        alerts = self._tenant.queue.alerts_of(incident.body["id"])
        view = defender_view(self._tenant, incident, alerts)
        left_out = self._tenant.config.connector_leaves_out
        return {group: said for group, said in view.items() if group not in left_out}

    def _carry_fields(self, incident: Incident, pair: Pair) -> None:
        """Carry each field that one side changed; where both did, Defender's stays (Assumed)."""
        before = dict(pair.copy.properties)
        view, there = self._view(incident), sentinel_view(pair.copy)
        for group, said in view.items():
            if said != pair.defender.get(group):
                pair.copy.properties.update(said)
            elif group in BACK and there[group] != pair.sentinel.get(group):
                self._carry_back(incident, group, there[group])
        tags = tags_of(incident.body)
        if tags != pair.brought and "tags" not in self._tenant.config.connector_leaves_out:
            pair.copy.properties["labels"] = relabel(pair.copy, set(pair.brought), tags)
            pair.brought = tags
        if pair.copy.properties != before:
            self._workspace.touch(pair.copy, by=_SYNC_ACTOR)
        pair.defender, pair.sentinel = self._view(incident), sentinel_view(pair.copy)

    def _carry_back(self, incident: Incident, group: str, said: Json) -> None:
        changes = backward(group, said)
        if incident.body.get("status") == "redirected":
            return
        if any(incident.body.get(name) != value for name, value in changes.items()):
            self._tenant.queue.change_incident(incident, changes, _BACK_ACTOR)

    def _alert_ids(self, incident_id: str) -> set[str]:
        return {alert.body["id"] for alert in self._tenant.queue.alerts_of(incident_id)}

    def _attach(self, incident: Incident, pair: Pair) -> None:
        """Keep the copy's alerts those of the incident, up to the cap."""
        workspace, copy = self._workspace, pair.copy
        alerts = self._tenant.queue.alerts_of(incident.body["id"])[:ALERT_CAP]
        pair.alerts = self._alert_ids(incident.body["id"])
        bodies = {alert_name(alert.body): alert.body for alert in alerts}
        wanted = {name: alert_entity(workspace, name, body) for name, body in bodies.items()}
        entities = entities_of(workspace, list(bodies.values()))
        if wanted == copy.alerts and entities == copy.entities:
            return
        workspace.alerts |= wanted
        copy.alerts, copy.entities = wanted, entities
        copy.relations = {
            f"{copy.name}_{name}": _relation(workspace, copy, name) for name in wanted
        }
        workspace.touch(copy, by=_SYNC_ACTOR)

    def _comments(self, incident: Incident, pair: Pair) -> None:
        """Carry new comments both ways; edits and deletions never travel."""
        written = as_objects(incident.body.get("comments"))
        for comment in written[pair.comments :]:
            if len(pair.copy.comments) < COMMENT_CAP:
                pair.messages.add(self._comment_sentinel(pair.copy, comment))
        pair.comments = len(written)
        for sub in list(pair.copy.comments.values()):
            if sub.name not in pair.messages:
                pair.messages.add(sub.name)
                self._comment_defender(incident, sub)
                pair.comments += 1

    def _comment_defender(self, incident: Incident, sub: SubResource) -> None:
        author = sub.properties["author"]
        by = as_text(author.get("userPrincipalName")) or as_text(author.get("name"))
        self._tenant.queue.comment(incident, as_text(sub.properties.get("message")), by)

    def _comment_sentinel(self, copy: SentinelIncident, comment: Json) -> str:
        now, name = stamp(self._tenant.clock.shown()), new_guid()
        author = {
            "objectId": None,
            "email": None,
            "name": as_text(comment.get("createdByDisplayName")),
            "userPrincipalName": None,
        }
        properties = {
            "message": as_text(comment.get("comment")),
            "createdTimeUtc": now,
            "lastModifiedTimeUtc": now,
            "author": author,
        }
        copy.comments[name] = SubResource(name=name, properties=properties)
        self._workspace.touch(copy, by=_SYNC_ACTOR)
        return name


def _relation(workspace: Workspace, copy: SentinelIncident, alert: str) -> SubResource:
    properties = {
        "relatedResourceId": workspace.arm_id(f"entities/{alert}"),
        "relatedResourceName": alert,
        "relatedResourceType": "Microsoft.SecurityInsights/entities",
        "relatedResourceKind": "SecurityAlert",
    }
    return SubResource(name=f"{copy.name}_{alert}", properties=properties)
