"""Sentinel workspaces: incidents with etags and sub-resources, and the history of every change."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from quell_microsoft.simulator.wire import Json, as_objects, as_text, as_texts, new_guid

from .clock import SimulatedClock, later_than, stamp

NATIVE = "Azure Sentinel"
CONNECTOR_PROVIDERS = frozenset({"Microsoft XDR", "Microsoft 365 Defender"})
NO_OWNER: Json = {
    "objectId": None,
    "email": None,
    "assignedTo": None,
    "userPrincipalName": None,
}
PROVIDER = "Microsoft.SecurityInsights"


def new_etag() -> str:
    """Make an etag: a quoted string inside the string, as the service does."""
    return f'"{secrets.token_hex(4)}-0000-0d00-0000-{secrets.token_hex(4)}"'


@dataclass(slots=True, kw_only=True)
class SubResource:
    """A comment, task, relation or bookmark."""

    name: str
    properties: Json
    etag: str = field(default_factory=new_etag)


@dataclass(slots=True, kw_only=True)
class SentinelIncident:
    """One incident of a workspace."""

    name: str
    properties: Json
    etag: str = field(default_factory=new_etag)
    #: when it was changed for the first time; None until then
    first_modified: str | None = None
    comments: dict[str, SubResource] = field(default_factory=dict[str, SubResource])
    tasks: dict[str, SubResource] = field(default_factory=dict[str, SubResource])
    relations: dict[str, SubResource] = field(default_factory=dict[str, SubResource])
    #: SecurityAlert entities by systemAlertId, and the other entities
    alerts: dict[str, Json] = field(default_factory=dict[str, Json])
    entities: list[Json] = field(default_factory=list[Json])
    bookmarks: list[str] = field(default_factory=list[str])
    #: what lists show while versions are on their way, and those by when they show
    shown: Json | None = None
    latest: Json | None = None
    pending: list[tuple[datetime, Json]] = field(default_factory=list[tuple[datetime, Json]])
    #: what a recording says of parts that it does not hold
    recorded: Json = field(default_factory=dict[str, Any])

    @property
    def is_connector_copy(self) -> bool:
        """Whether Microsoft's connector made it."""
        return as_text(self.properties.get("providerName")) in CONNECTOR_PROVIDERS


@dataclass(slots=True, kw_only=True)
class Workspace:
    """One workspace: its incidents, its bookmarks and its append-only tables."""

    subscription_id: str
    resource_group: str
    name: str
    clock: SimulatedClock
    tenant_id: str
    guid: str = field(default_factory=new_guid)
    #: by name in lower case: names of Azure resources ignore case
    incidents: dict[str, SentinelIncident] = field(default_factory=dict[str, SentinelIncident])
    bookmarks: dict[str, SubResource] = field(default_factory=dict[str, SubResource])
    automation_rules: dict[str, SubResource] = field(default_factory=dict[str, SubResource])
    #: alerts that exist in the workspace, by systemAlertId
    alerts: dict[str, Json] = field(default_factory=dict[str, Json])
    #: recorded entities by name
    entities: dict[str, Json] = field(default_factory=dict[str, Json])
    tables: dict[str, list[Json]] = field(default_factory=dict[str, list[Json]])
    started_playbooks: list[Json] = field(default_factory=list[Json])
    last_number: int = 0
    #: called with every incident that came to be, changed or was deleted
    on_change: Callable[[SentinelIncident], None] | None = None
    #: seconds until a change shows in lists
    lag: Callable[[], float] = lambda: 0.0
    #: names of the connector's copies by the Defender incident
    copies: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def id(self) -> str:
        """The workspace's ARM id."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.OperationalInsights/workspaces/{self.name}"
        )

    def arm_id(self, path: str) -> str:
        """The ARM id of something that Sentinel keeps in this workspace."""
        return f"{self.id}/providers/{PROVIDER}/{path}"

    def find(self, name: str) -> SentinelIncident | None:
        """Find an incident by name, whatever its case."""
        return self.incidents.get(name.casefold())

    def find_copy_of(self, provider_incident_id: str) -> SentinelIncident | None:
        """Find the connector's copy of a Defender incident."""
        return self.find(self.copies.get(provider_incident_id, ""))

    def create(self, name: str, properties: Json, *, by: str) -> SentinelIncident:
        """Create an incident: numbered here, without alerts, by provider `Azure Sentinel`."""
        self.last_number += 1
        now = stamp(self.clock.shown())
        filled: Json = {
            "labels": [],
            "owner": dict(NO_OWNER),
            "providerName": NATIVE,
            "providerIncidentId": str(self.last_number),
            "relatedAnalyticRuleIds": [],
            **properties,
            "incidentNumber": self.last_number,
            "createdTimeUtc": now,
            "lastModifiedTimeUtc": now,
            "incidentUrl": (
                "https://portal.azure.com/#asset/Microsoft_Azure_Security_Insights/Incident"
                + self.arm_id(f"incidents/{name}")
            ),
        }
        incident = SentinelIncident(name=name, properties=filled)
        self.incidents[name.casefold()] = incident
        if incident.is_connector_copy:
            self.copies[as_text(filled["providerIncidentId"])] = name
        self._write_row(incident, by)
        return incident

    def touch(self, incident: SentinelIncident, *, by: str) -> None:
        """Give an incident a new etag and stamp after any change, sub-resources included."""
        incident.etag = new_etag()
        properties = incident.properties
        before = properties.get("lastModifiedTimeUtc")
        properties["lastModifiedTimeUtc"] = later_than(before, self.clock.shown())
        incident.first_modified = incident.first_modified or properties["lastModifiedTimeUtc"]
        self._write_row(incident, by)

    def delete(self, incident: SentinelIncident, *, by: str) -> None:
        """Delete an incident; its last row says so."""
        self.incidents.pop(incident.name.casefold(), None)
        self._write_row(incident, by, status="Deleted")

    def additional_data(self, incident: SentinelIncident) -> Json:
        """Count what belongs to an incident."""
        alerts = [as_object_properties(alert) for alert in incident.alerts.values()]
        products = [as_text(alert.get("productName")) for alert in alerts]
        tactics = [tactic for alert in alerts for tactic in as_texts(alert.get("tactics"))]
        data: Json = {
            "alertsCount": len(incident.alerts),
            "bookmarksCount": len(incident.bookmarks),
            "commentsCount": len(incident.comments),
            "alertProductNames": [name for name in dict.fromkeys(products) if name],
            "tactics": list(dict.fromkeys(tactics)),
        }
        data |= {name: said for name, said in incident.recorded.items() if not data.get(name)}
        if incident.is_connector_copy:
            number = incident.properties["providerIncidentId"]
            data["providerIncidentUrl"] = (
                f"https://security.microsoft.com/incident2/{number}/overview?tid={self.tenant_id}"
            )
        return data

    def show(self, incident: SentinelIncident) -> Json:
        """Wrap an incident in its ARM envelope, with fresh counts; nulls are left out."""
        kept = {name: value for name, value in incident.properties.items() if value is not None}
        return {
            "id": self.arm_id(f"Incidents/{incident.name}"),
            "name": incident.name,
            "etag": incident.etag,
            "type": "Microsoft.SecurityInsights/Incidents",
            "properties": {**kept, "additionalData": self.additional_data(incident)},
        }

    def visible(self, incident: SentinelIncident) -> Json | None:
        """Give the version that a list shows now; None when it shows none yet."""
        now = self.clock.now()
        while incident.pending and incident.pending[0][0] <= now:
            incident.shown = incident.pending.pop(0)[1]
        return incident.shown if incident.pending else self.show(incident)

    def _publish(self, incident: SentinelIncident) -> None:
        version, lag = self.show(incident), self.lag()
        if lag > 0:
            if not incident.pending:
                incident.shown = incident.latest
            incident.pending.append((self.clock.now() + timedelta(seconds=lag), version))
        else:
            incident.pending.clear()
        incident.latest = version

    def _write_row(self, incident: SentinelIncident, by: str, status: str = "") -> None:
        self._publish(incident)
        if self.on_change is not None:
            self.on_change(incident)
        rows = self.tables.setdefault("SecurityIncident", [])
        rows.append(_row(self, incident, by, status))


def as_object_properties(entity: Json) -> Json:
    """Give the properties of an entity."""
    properties: Any = entity.get("properties")
    return properties if isinstance(properties, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _row(workspace: Workspace, incident: SentinelIncident, by: str, status: str) -> Json:
    """Write one row of the SecurityIncident table; comments over 64 KB go, oldest first."""
    properties = incident.properties
    comments = [_comment_cell(comment) for comment in incident.comments.values()]
    while len(json.dumps(comments)) > 64 * 1024:
        comments.pop(0)
    is_closed = properties.get("status") == "Closed"
    return {
        "TenantId": workspace.guid,
        "TimeGenerated": stamp(workspace.clock.shown()),
        "IncidentName": incident.name,
        "Title": properties.get("title"),
        "Description": properties.get("description"),
        "Severity": properties.get("severity"),
        "Status": status or properties.get("status"),
        "Classification": properties.get("classification") or "",
        "ClassificationComment": properties.get("classificationComment") or "",
        "ClassificationReason": properties.get("classificationReason") or "",
        "Owner": properties.get("owner"),
        "ProviderName": properties.get("providerName"),
        "ProviderIncidentId": properties.get("providerIncidentId"),
        "FirstActivityTime": properties.get("firstActivityTimeUtc"),
        "LastActivityTime": properties.get("lastActivityTimeUtc"),
        "FirstModifiedTime": incident.first_modified,
        "LastModifiedTime": properties.get("lastModifiedTimeUtc"),
        "CreatedTime": properties.get("createdTimeUtc"),
        "ClosedTime": properties.get("lastModifiedTimeUtc") if is_closed else None,
        "IncidentNumber": properties.get("incidentNumber"),
        "RelatedAnalyticRuleIds": properties.get("relatedAnalyticRuleIds"),
        "AlertIds": list(incident.alerts),
        "BookmarkIds": list(incident.bookmarks),
        "Comments": comments,
        "Tasks": [{"taskId": name} for name in incident.tasks],
        "Labels": as_objects(properties.get("labels")),
        "IncidentUrl": properties.get("incidentUrl"),
        "AdditionalData": workspace.additional_data(incident),
        "ModifiedBy": by,
        "SourceSystem": "Azure",
        "Type": "SecurityIncident",
    }


def _comment_cell(comment: SubResource) -> Json:
    return {
        "message": comment.properties.get("message"),
        "author": comment.properties.get("author"),
        "createdTimeUtc": comment.properties.get("createdTimeUtc"),
    }
