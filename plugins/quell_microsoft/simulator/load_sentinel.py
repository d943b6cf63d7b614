"""Fills the first workspace from recorded ARM resources and table rows of Sentinel.

What is stored comes back as it was recorded: properties, names and etags stay, only the ARM ids of
incidents and their parts name this tenant's workspace.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .apis.sentinel_parts import COMMENTS_LIMIT, TASKS_LIMIT
from .state.clock import sortable, stamp
from .state.tenant import Tenant
from .state.workspaces import SentinelIncident, SubResource, Workspace, new_etag
from .wire import Json, as_object, as_objects, as_text

_PROVIDER = re.compile("/providers/Microsoft.SecurityInsights/", re.IGNORECASE)
#: which column tells a row's table
TABLES = {"IncidentName": "SecurityIncident", "SystemAlertId": "SecurityAlert"}
_PARTS = ("comments", "tasks", "relations")
_LIMITS = {"comments": COMMENTS_LIMIT, "tasks": TASKS_LIMIT}
#: what else the trigger of a playbook shows inside the properties
_INSIDE = ("alerts", "bookmarks", "relatedEntities", "comments")


@dataclass(slots=True)
class FoundSentinel:
    """What the files hold, each with the name of its file."""

    #: file, segments of the ARM id below the provider, body, incident that the file is about
    resources: list[tuple[str, list[str], Json, str]] = field(
        default_factory=list[tuple[str, list[str], Json, str]]
    )
    #: file, table, row
    rows: list[tuple[str, str, Json]] = field(default_factory=list[tuple[str, str, Json]])
    #: the incident that the present file is about, as far as it says so
    about: str = ""

    def take(self, name: str, body: Json) -> bool:
        """Take what is a resource or a row of Sentinel; tells whether it was one."""
        found = _PROVIDER.search(as_text(body.get("id")))
        if found is not None and isinstance(body.get("properties"), dict):
            path = as_text(body["id"])[found.end() :].strip("/").split("/")
            self.resources.append((name, path, body, self.about))
            return True
        table = next((table for key, table in TABLES.items() if as_text(body.get(key))), None)
        if table is None or not as_text(body.get("TimeGenerated")):
            return False
        self.rows.append((name, table, body))
        return True

    def count(self) -> int:
        """Count everything found so far."""
        return len(self.resources) + len(self.rows)


def add_sentinel(tenant: Tenant, found: FoundSentinel) -> None:
    """Put everything in, incidents first; what has no place is named in `tenant.skipped`."""
    loader = _Loader(tenant, tenant.workspaces[0])
    for _, table, row in found.rows:
        loader.workspace.tables.setdefault(table, []).append(row)
    for is_part in (False, True):
        for name, path, body, about in found.resources:
            if is_part == _is_part(path):
                loader.add(name, path, body, about)


def _is_part(path: list[str]) -> bool:
    return path[0].casefold() != "incidents" or len(path) > 2


class _Loader:
    def __init__(self, tenant: Tenant, workspace: Workspace) -> None:
        self.tenant = tenant
        self.workspace = workspace

    def add(self, name: str, path: list[str], body: Json, about: str) -> None:
        """Put one resource in its place."""
        kind = path[0].casefold()
        if kind == "incidents" and len(path) == 2:
            self._incident(name, path[1], body)
        elif kind == "incidents" and len(path) == 4 and path[2].casefold() in _PARTS:
            self._part(name, path, body)
        elif kind == "entities" and len(path) == 2:
            self._entity(name, body, about)
        elif kind == "bookmarks" and len(path) == 2:
            self.workspace.bookmarks[path[1]] = _sub(path[1], body)
        elif kind == "automationrules" and len(path) == 2:
            self.workspace.automation_rules[path[1]] = _sub(path[1], body)
        else:
            self._skip(name, f"{path[0]} are not simulated")

    def _incident(self, file: str, name: str, body: Json) -> None:
        properties = dict(as_object(body["properties"]))
        recorded = as_object(properties.pop("additionalData", None))
        parts = {key: as_objects(properties.pop(key, None)) for key in _INSIDE}
        known = self.workspace.find(name)
        if known is not None and not _is_later(properties, known.properties):
            if any(known.properties.get(key) != properties[key] for key in properties):
                self._skip(file, f"incident {name[:64]} is there in a version as late")
            return
        if known is not None:
            self._skip(file, f"replaces an earlier version of {name[:64]}")
        incident = self._put(name, properties)
        incident.recorded = recorded
        incident.etag = as_text(body.get("etag")) or incident.etag
        for entity in (*parts["alerts"], *parts["relatedEntities"]):
            self._entity(file, entity, name)
        for index, comment in enumerate(parts["comments"]):
            part = as_text(comment.get("name")) or f"comment-{index}"
            incident.comments[part] = _sub(part, comment)

    def _put(self, name: str, properties: Json) -> SentinelIncident:
        """Keep an incident as recorded; only what a list cannot do without is added."""
        workspace, now = self.workspace, stamp(self.tenant.clock.shown())
        base: Json = {"title": f"Incident {name}", "severity": "Medium", "status": "New"}
        incident = workspace.create(name, {**base, **properties}, by="recording")
        number = properties.get("incidentNumber")
        if isinstance(number, int):
            workspace.last_number = max(workspace.last_number, number)
        created = properties.get("createdTimeUtc") or now
        stamps = {"createdTimeUtc": created, "lastModifiedTimeUtc": created}
        incident.properties |= {**stamps, **properties}
        return incident

    def _part(self, file: str, path: list[str], body: Json) -> None:
        incident = self._owner(path[1])
        kind = path[2].casefold()
        found: dict[str, SubResource] = getattr(incident, kind)
        if path[3] in found:
            if found[path[3]].properties != body["properties"]:
                self._skip(file, f"{kind} {path[3][:64]} is there as another one")
        elif len(found) >= _LIMITS.get(kind, len(found) + 1):
            self._skip(file, f"{path[1][:64]} has as many {kind} as it may")
        else:
            found[path[3]] = _sub(path[3], body)

    def _entity(self, file: str, entity: Json, about: str) -> None:
        # the id decides: a published example has another name than id
        name = as_text(entity.get("id")).rpartition("/")[2] or as_text(entity.get("name"))
        workspace = self.workspace
        if not name:
            self._skip(file, "an entity without a name")
            return
        if workspace.entities.setdefault(name, entity) != entity:
            self._skip(file, f"entity {name[:64]} is there as another one")
        is_alert = entity.get("kind") == "SecurityAlert"
        if is_alert:
            workspace.alerts[name] = entity
        if about:
            incident = self._owner(about)
            if is_alert:
                incident.alerts[name] = entity
            else:
                incident.entities.append(entity)

    def _owner(self, name: str) -> SentinelIncident:
        return self.workspace.find(name) or self._put(name, {})

    def _skip(self, file: str, why: str) -> None:
        self.tenant.skipped.append(f"{file}: {why}")


def _sub(name: str, body: Json) -> SubResource:
    etag = as_text(body.get("etag")) or new_etag()
    return SubResource(name=name, properties=dict(as_object(body.get("properties"))), etag=etag)


def _is_later(left: Json, right: Json) -> bool:
    mine = sortable(left.get("lastModifiedTimeUtc"))
    other = sortable(right.get("lastModifiedTimeUtc"))
    return mine is not None and (other is None or mine > other)
