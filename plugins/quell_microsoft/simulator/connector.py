"""Microsoft's own connector: copies Defender incidents into the first workspace, off by default.

Assumed: it compares every `connector_delay_seconds` and carries both directions then; the real
one carries changes of existing incidents at once.
"""

from __future__ import annotations

import hashlib
import uuid

from .entities import entities_of
from .state.clock import stamp
from .state.queue import Incident
from .state.tenant import Tenant
from .state.workspaces import SentinelIncident, SubResource, Workspace
from .wire import Json, as_objects, as_text, as_texts, new_guid

ALERT_CAP = 150
_STATUS = {
    "active": "New",
    "inProgress": "Active",
    "resolved": "Closed",
    "awaitingAction": "Active",
}
_SEVERITY = {"high": "High", "medium": "Medium", "low": "Low"}
_VERDICT = {
    "truePositive": ("TruePositive", "SuspiciousActivity"),
    "falsePositive": ("FalsePositive", "InaccurateData"),
    "informationalExpectedActivity": ("BenignPositive", "SuspiciousButExpected"),
    "unknown": (None, None),
}
_PRODUCTS = {
    "microsoftDefenderForEndpoint": "Microsoft Defender Advanced Threat Protection",
    "microsoftDefenderForIdentity": "Azure Advanced Threat Protection",
    "microsoftDefenderForOffice365": "Office 365 Advanced Threat Protection",
    "microsoftDefenderForCloudApps": "Microsoft Cloud App Security",
}
_SYNC_ACTOR = "Microsoft Defender XDR - alert correlation"


class Connector:
    """Keeps the copies in step with Defender's queue, one pass after another."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        #: what both sides said after the last pass, by Defender incident id
        self._said: dict[str, tuple[str, str]] = {}
        #: comments that were carried already, by text
        self._carried: dict[str, set[str]] = {}

    def begin(self) -> None:
        """Plan the first pass; each pass plans the next."""
        delay = max(1.0, self._tenant.config.connector_delay_seconds)
        self._tenant.clock.after(delay, self._turn)

    def _turn(self) -> None:
        if self._tenant.config.connector:
            self.run()
        self.begin()

    def run(self) -> None:
        """Make one pass over all incidents."""
        workspace = self._tenant.workspaces[0]
        copies = {
            copy.properties["providerIncidentId"]: copy
            for copy in workspace.incidents.values()
            if copy.is_connector_copy
        }
        for incident in list(self._tenant.queue.released()):
            copy = copies.get(incident.body["id"])
            if copy is None:
                if incident.body.get("status") != "redirected":
                    self._create(workspace, incident)
            else:
                self._carry(workspace, incident, copy)

    def _create(self, workspace: Workspace, incident: Incident) -> None:
        body = incident.body
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{workspace.id}/{body['id']}"))
        properties = {
            **self._fields(incident),
            "providerName": self._tenant.config.connector_provider,
            "providerIncidentId": body["id"],
            "firstActivityTimeUtc": body.get("createdDateTime"),
            "lastActivityTimeUtc": body.get("lastUpdateDateTime"),
        }
        copy = workspace.create(name, properties, by=_SYNC_ACTOR)
        self._attach(workspace, incident, copy)
        self._carried[body["id"]] = set()
        self._comments(workspace, incident, copy)
        self._remember(incident, copy)

    def _carry(self, workspace: Workspace, incident: Incident, copy: SentinelIncident) -> None:
        defender, sentinel = self._said.get(incident.body["id"], ("", ""))
        if _digest(self._fields(incident)) != defender:
            copy.properties.update(self._fields(incident))
            workspace.touch(copy, by=_SYNC_ACTOR)
        elif _digest(_written(copy)) != sentinel:
            self._carry_back(incident, copy)
        self._attach(workspace, incident, copy)
        self._comments(workspace, incident, copy)
        self._remember(incident, copy)

    def _carry_back(self, incident: Incident, copy: SentinelIncident) -> None:
        properties = copy.properties
        back = {new: old for old, new in _STATUS.items() if old != "awaitingAction"}
        changes: Json = {
            "status": back[properties["status"]],
            "assignedTo": properties["owner"].get("userPrincipalName")
            or properties["owner"].get("email"),
        }
        for old, (classification, _) in _VERDICT.items():
            if classification == properties.get("classification"):
                changes["classification"] = old
        self._tenant.queue.change_incident(incident, changes, "Microsoft Sentinel")

    def _fields(self, incident: Incident) -> Json:
        body = incident.body
        is_redirected = body.get("status") == "redirected"
        verdict = _VERDICT.get(as_text(body.get("classification")), (None, None))
        tags = as_texts(body.get("customTags")) + (["Redirected"] if is_redirected else [])
        owner = as_text(body.get("assignedTo"))
        user = self._tenant.users.find(owner) if owner else None
        return {
            "title": body.get("displayName"),
            "description": (body.get("description") or "")[:5000],
            "severity": _SEVERITY.get(as_text(body.get("severity")), "Informational"),
            "status": "Closed" if is_redirected else _STATUS.get(as_text(body["status"]), "New"),
            "classification": verdict[0],
            "classificationReason": verdict[1],
            "labels": [{"labelName": tag, "labelType": "AutoAssigned"} for tag in tags],
            "owner": {
                "objectId": user.body["id"] if user else None,
                "email": owner or None,
                "assignedTo": user.body["displayName"] if user else owner or None,
                "userPrincipalName": owner or None,
            },
        }

    def _attach(self, workspace: Workspace, incident: Incident, copy: SentinelIncident) -> None:
        """Keep the copy's alerts those of the incident, up to the cap."""
        alerts = self._tenant.queue.alerts_of(incident.body["id"])[:ALERT_CAP]
        wanted = {_alert_name(alert.body): alert.body for alert in alerts}
        if set(wanted) == set(copy.alerts):
            return
        for name, body in wanted.items():
            workspace.alerts[name] = alert_entity(workspace, name, body)
        copy.alerts = {name: workspace.alerts[name] for name in wanted}
        copy.entities = entities_of(workspace, list(wanted.values()))
        copy.relations = {
            f"{copy.name}_{name}": _relation(workspace, copy, name) for name in wanted
        }
        workspace.touch(copy, by=_SYNC_ACTOR)

    def _comments(self, workspace: Workspace, incident: Incident, copy: SentinelIncident) -> None:
        """Carry new comments both ways; edits and deletions never travel."""
        carried = self._carried.setdefault(incident.body["id"], set())
        for comment in as_objects(incident.body.get("comments")):
            text = as_text(comment.get("comment"))
            if text not in carried:
                carried.add(text)
                self._comment_sentinel(workspace, copy, comment)
        for sub in list(copy.comments.values()):
            text = as_text(sub.properties.get("message"))
            if text not in carried:
                carried.add(text)
                author = sub.properties["author"]
                by = author.get("userPrincipalName") or author.get("name")
                self._tenant.queue.comment(incident, text, as_text(by))

    def _comment_sentinel(
        self, workspace: Workspace, copy: SentinelIncident, comment: Json
    ) -> None:
        now, name = stamp(self._tenant.clock.now()), new_guid()
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
        workspace.touch(copy, by=_SYNC_ACTOR)

    def _remember(self, incident: Incident, copy: SentinelIncident) -> None:
        said = (_digest(self._fields(incident)), _digest(_written(copy)))
        self._said[incident.body["id"]] = said


def _written(copy: SentinelIncident) -> Json:
    names = ("status", "classification", "classificationReason", "owner", "severity", "title")
    return {name: copy.properties.get(name) for name in names}


def _digest(fields: Json) -> str:
    return hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest()


def _alert_name(body: Json) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, body["id"]))


def alert_entity(workspace: Workspace, name: str, body: Json) -> Json:
    """Write a Defender alert as Sentinel's SecurityAlert entity."""
    severity = _SEVERITY.get(as_text(body.get("severity")), "Informational")
    return {
        "id": workspace.arm_id(f"Entities/{name}"),
        "name": name,
        "type": "Microsoft.SecurityInsights/Entities",
        "kind": "SecurityAlert",
        "properties": {
            "systemAlertId": name,
            "alertDisplayName": body.get("title"),
            "friendlyName": body.get("title"),
            "description": body.get("description"),
            "confidenceLevel": "Unknown",
            "severity": severity,
            "vendorName": "Microsoft",
            "productName": _PRODUCTS.get(
                as_text(body.get("serviceSource")), "Microsoft 365 Defender"
            ),
            "alertType": as_text(body.get("detectorId")) or "Unknown",
            "providerAlertId": body.get("providerAlertId"),
            "processingEndTime": body.get("createdDateTime"),
            "status": "New",
            "startTimeUtc": body.get("firstActivityDateTime") or body.get("createdDateTime"),
            "endTimeUtc": body.get("lastActivityDateTime") or body.get("createdDateTime"),
            "timeGenerated": body.get("createdDateTime"),
            "tactics": [],
            "alertLink": body.get("alertWebUrl"),
            "additionalData": {},
            "resourceIdentifiers": [],
        },
    }


def _relation(workspace: Workspace, copy: SentinelIncident, alert: str) -> SubResource:
    properties = {
        "relatedResourceId": workspace.arm_id(f"entities/{alert}"),
        "relatedResourceName": alert,
        "relatedResourceType": "Microsoft.SecurityInsights/entities",
        "relatedResourceKind": "SecurityAlert",
    }
    return SubResource(name=f"{copy.name}_{alert}", properties=properties)
