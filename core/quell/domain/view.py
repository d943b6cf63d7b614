"""An incident as matching, playbooks and people see it: one frozen picture of one revision."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from quell.domain.ids import IncidentId, TenantId
from quell.domain.incident import IncidentFields, Origin, Severity
from quell.domain.playbook import IncidentEvent
from quell.domain.ports import EntitySummary

__all__ = ["AlertView", "CopyView", "IncidentView", "RevisionView"]


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """An alert without its evidence, which is in the incident's entities."""

    id: str
    title: str = ""
    severity: Severity = Severity.UNKNOWN
    status: str = "unknown"
    product: str = ""
    category: str = ""
    tactics: frozenset[str] = frozenset()


class CopyView(msgspec.Struct, frozen=True, kw_only=True):
    """Where one product's copy of the incident is."""

    source_id: str
    system: str
    native_id: str
    number: str = ""
    url: str = ""


class IncidentView(msgspec.Struct, frozen=True, kw_only=True):
    """The incident as the journal has it at `revision`, with everything that it names."""

    tenant_id: TenantId
    id: IncidentId
    revision: int
    fields: IncidentFields
    created_at: datetime
    updated_at: datetime
    entities: tuple[EntitySummary, ...] = ()
    alerts: tuple[AlertView, ...] = ()
    copies: tuple[CopyView, ...] = ()
    #: the winner, if this one was merged away; do not act on it then
    merged_into: IncidentId | None = None
    #: the values that may set off containment: what the product that detects, or one that policy
    #: names, has said itself. None where it has said nothing
    vouched: IncidentFields | None = None


class RevisionView(msgspec.Struct, frozen=True, kw_only=True):
    """One real change of an incident, as matching looks at it."""

    tenant_id: TenantId
    incident_id: IncidentId
    revision: int
    origin: Origin
    events: tuple[IncidentEvent, ...]
    #: {field: [old, new]} in canonical words
    changes: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    happened_at: datetime
    at: datetime
    #: the run that did it, when it was our own doing
    caused_by: str | None = None
    #: how many runs stand between this change and one that came from outside
    depth: int = 0
    actor: str = ""
    source_id: str | None = None
