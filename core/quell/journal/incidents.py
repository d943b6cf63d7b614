"""Incidents: the canonical ones, their revisions, and how they are found and shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.fields import SHARED
from quell.domain.hub import Hub, Link, RevisionDraft
from quell.domain.ids import IncidentId, SourceId, TenantId
from quell.domain.incident import IncidentFields, Severity, Status
from quell.domain.view import AlertView, CopyView, IncidentView, RevisionView
from quell.errors import NotFoundError
from quell.journal import alerts, entities, links
from quell.journal.prepared import its, same
from quell.journal.prepared import listed as one_of
from quell.journal.tables import incidents, revisions, runs
from quell.journal.tables import links as link_table
from quell.journal.upsert import insert_or_update
from quell.journal.writer import Question, Transaction

__all__ = [
    "IncidentRow",
    "counted",
    "find",
    "listed",
    "resolve",
    "revisions_of",
    "unmatched",
    "view",
    "views",
]

#: longest chain of merges that is followed
HOPS = 16

READ = sa.select(incidents).where(same(incidents.c.tenant_id, incidents.c.id))
READ_MANY = sa.select(incidents).where(same(incidents.c.tenant_id), one_of(incidents.c.id))
LOCK = READ.with_for_update()
ADD_REVISION = sa.insert(revisions)
READ_DEPTH = sa.select(runs.c.depth).where(same(runs.c.tenant_id, runs.c.id))


class IncidentRow(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as lists show it."""

    id: IncidentId
    title: str
    severity: Severity
    status: Status | None
    owner: str
    revision: int
    created_at: datetime
    updated_at: datetime
    merged_into: IncidentId | None = None
    #: number by source
    numbers: dict[str, str] = {}


def unmatched(tenant_id: TenantId, limit: int = 100) -> Question[list[RevisionView]]:
    """List the revisions that nobody has matched against playbooks yet, oldest first."""
    statement = (
        sa.select(revisions)
        .where(revisions.c.tenant_id == tenant_id, revisions.c.matched_at.is_(None))
        .order_by(revisions.c.at, revisions.c.incident_id, revisions.c.revision)
        .limit(limit)
    )
    return lambda tx: [_revision(row) for row in tx.execute(statement).mappings()]


def revisions_of(tenant_id: TenantId, incident_id: IncidentId) -> Question[list[RevisionView]]:
    """List what happened to an incident, oldest first."""
    statement = (
        sa.select(revisions)
        .where(revisions.c.tenant_id == tenant_id, revisions.c.incident_id == incident_id)
        .order_by(revisions.c.revision)
    )
    return lambda tx: [_revision(row) for row in tx.execute(statement).mappings()]


def source_behind(revision: RevisionView) -> Question[str | None]:
    """Tell in which source that began what led to a change; None where a person ordered it.

    A run's own change is as good as the change that had started the run.
    """

    def ask(tx: Transaction) -> str | None:
        found = revision
        while found.source_id is None and found.caused_by is not None:
            cause = _cause(tx, found)
            if cause is None or cause.depth >= found.depth:
                break
            found = cause
        return found.source_id

    return ask


def view(tenant_id: TenantId, incident_id: IncidentId) -> Question[IncidentView]:
    """Give an incident with all that it names. Raises NotFoundError."""

    def ask(tx: Transaction) -> IncidentView:
        found = views(tenant_id, [incident_id])(tx)
        if not found:
            raise NotFoundError(what="incident", name=incident_id)
        return found[incident_id]

    return ask


def views(
    tenant_id: TenantId, ids: Sequence[IncidentId]
) -> Question[dict[IncidentId, IncidentView]]:
    """Give incidents with all that they name; what is not there is missing."""

    def ask(tx: Transaction) -> dict[IncidentId, IncidentView]:
        wanted: list[str] = sorted(set(ids))
        rows = tx.execute(READ_MANY, its(tenant_id=tenant_id, id=wanted)).all()
        named = entities.summaries_of_many(tx, tenant_id, wanted)
        told = alerts.of_incidents(tx, tenant_id, wanted)
        linked = links.of_incidents(tx, tenant_id, wanted)
        return {
            IncidentId(row.id): IncidentView(
                tenant_id=tenant_id,
                id=IncidentId(row.id),
                revision=row.revision,
                fields=msgspec.convert(row.fields, IncidentFields),
                created_at=row.created_at,
                updated_at=row.updated_at,
                entities=tuple(named.get(row.id, ())),
                alerts=tuple(_alert(one) for one in told.get(row.id, ())),
                copies=tuple(_copy(one) for one in linked.get(row.id, ())),
                merged_into=row.merged_into,
                vouched=_vouched(row.fields, row.marks),
            )
            for row in rows
        }

    return ask


def find(tenant_id: TenantId, text: str) -> Question[list[IncidentId]]:
    """Find incidents by quell's id or the beginning of it, a product's number or its native id."""

    def ask(tx: Transaction) -> list[IncidentId]:
        wanted = text.strip()
        of_tenant = link_table.c.tenant_id == tenant_id
        named = sa.select(link_table.c.incident_id).where(
            of_tenant, (link_table.c.number == wanted) | (link_table.c.native_id == wanted)
        )
        by_name = [row.incident_id for row in tx.execute(named.order_by(link_table.c.created_at))]
        own = sa.select(incidents.c.id).where(
            incidents.c.tenant_id == tenant_id, incidents.c.id.startswith(wanted, autoescape=True)
        )
        # two characters would fit many ids and mean none
        by_id = [row.id for row in tx.execute(own.limit(20))] if len(wanted) >= 4 else []
        return list(dict.fromkeys(IncidentId(one) for one in [*by_id, *by_name]))

    return ask


def resolve(tenant_id: TenantId, incident_id: IncidentId) -> Question[IncidentId]:
    """Follow merges to the incident that stands for itself."""
    return lambda tx: winner_of(tx, tenant_id, incident_id)


def listed(
    tenant_id: TenantId,
    *,
    status: Status | None = None,
    severity: Severity | None = None,
    source_id: SourceId | None = None,
    with_merged: bool = False,
    limit: int = 50,
    offset: int = 0,
) -> Question[list[IncidentRow]]:
    """List incidents, the last changed first. `severity` is the least that is shown."""

    def ask(tx: Transaction) -> list[IncidentRow]:
        statement = sa.select(incidents).where(
            *_filters(tenant_id, status, severity, source_id, with_merged)
        )
        newest = statement.order_by(incidents.c.updated_at.desc(), incidents.c.id)
        rows = tx.execute(newest.limit(limit).offset(offset)).all()
        numbers = _numbers(tx, tenant_id, [row.id for row in rows])
        return [_listed(row, numbers.get(row.id, {})) for row in rows]

    return ask


def counted(tenant_id: TenantId) -> Question[int]:
    """Count the incidents that stand for themselves."""
    statement = (
        sa.select(sa.func.count())
        .select_from(incidents)
        .where(incidents.c.tenant_id == tenant_id, incidents.c.merged_into.is_(None))
    )
    return lambda tx: int(tx.execute(statement).scalar_one())


# -- inside a transaction ------------------------------------------------------------------------


def winner_of(tx: Transaction, tenant_id: TenantId, incident_id: IncidentId) -> IncidentId:
    for _ in range(HOPS):
        row = _row(tx, tenant_id, incident_id)
        if row is None or row.merged_into is None:
            return incident_id
        incident_id = IncidentId(row.merged_into)
    return incident_id


def lock_row(tx: Transaction, tenant_id: TenantId, incident_id: str) -> sa.Row[Any] | None:
    return tx.execute(LOCK, its(tenant_id=tenant_id, id=incident_id)).first()


def read_row(tx: Transaction, tenant_id: TenantId, incident_id: str) -> sa.Row[Any] | None:
    return _row(tx, tenant_id, incident_id)


def picture(tx: Transaction, hub: Hub) -> IncidentView:
    """Give an incident as rules see it, with what was stored of it so far."""
    return IncidentView(
        tenant_id=hub.tenant_id,
        id=hub.id,
        revision=hub.revision,
        fields=hub.fields,
        created_at=hub.created_at,
        updated_at=hub.updated_at,
        entities=entities.summaries(tx, hub.tenant_id, hub.id),
        alerts=tuple(_alert(one) for one in alerts.of_incident(tx, hub.tenant_id, hub.id)),
        copies=tuple(_copy(one) for one in hub.links),
        merged_into=hub.merged_into,
    )


def save_incident(tx: Transaction, hub: Hub) -> None:
    fields = hub.fields
    row = {
        "tenant_id": hub.tenant_id,
        "id": hub.id,
        "fields": msgspec.to_builtins(fields),
        "revision": hub.revision,
        "marks": msgspec.to_builtins(hub.marks),
        "severity": (fields.severity or Severity.UNKNOWN).value,
        "status": fields.status.value if fields.status else "unknown",
        "merged_into": hub.merged_into,
        "origin_source_id": hub.origin_source_id,
        "origin_native_id": hub.origin_native_id,
        "routing": msgspec.to_builtins(hub.routing),
        "created_at": hub.created_at,
        "updated_at": tx.now,
    }
    names = [name for name in row if name not in {"tenant_id", "id", "created_at"}]
    insert_or_update(tx, incidents, row, update=names)


def add_revision(tx: Transaction, hub: Hub, draft: RevisionDraft) -> Hub:
    """Give a change its number. The hub that comes back carries it."""
    numbered = hub.replace(revision=hub.revision + 1)
    values = {
        name: getattr(draft, name)
        for name in draft.__struct_fields__
        if name not in {"origin", "events"}
    }
    values |= {
        "tenant_id": hub.tenant_id,
        "incident_id": hub.id,
        "revision": numbered.revision,
        "origin": draft.origin.value,
        "events": [event.value for event in draft.events],
        "depth": _depth(tx, hub.tenant_id, draft.caused_by),
        "at": tx.now,
    }
    tx.later(ADD_REVISION, values)
    return numbered


def _depth(tx: Transaction, tenant_id: TenantId, run_id: str | None) -> int:
    if run_id is None:
        return 0
    mine = its(tenant_id=tenant_id, id=run_id)
    return (tx.execute(READ_DEPTH, mine).scalar_one_or_none() or 0) + 1


def _cause(tx: Transaction, revision: RevisionView) -> RevisionView | None:
    """Find the change that had started the run that made this one, unless a person let it go."""
    statement = (
        sa.select(revisions, runs.c.options)
        .join(
            runs,
            sa.and_(
                runs.c.tenant_id == revisions.c.tenant_id,
                runs.c.incident_id == revisions.c.incident_id,
                runs.c.revision == revisions.c.revision,
            ),
        )
        .where(runs.c.tenant_id == revision.tenant_id, runs.c.id == revision.caused_by)
    )
    row = tx.execute(statement).mappings().first()
    if row is None or row["options"].get("released_by") or row["options"].get("ordered_by"):
        return None
    return _revision(row)


def _row(tx: Transaction, tenant_id: TenantId, incident_id: str) -> sa.Row[Any] | None:
    return tx.execute(READ, its(tenant_id=tenant_id, id=incident_id)).first()


def _filters(
    tenant_id: TenantId,
    status: Status | None,
    severity: Severity | None,
    source_id: SourceId | None,
    with_merged: bool,
) -> list[sa.ColumnElement[bool]]:
    where = [incidents.c.tenant_id == tenant_id]
    if status is not None:
        where.append(incidents.c.status == status.value)
    if severity is not None:
        where.append(
            incidents.c.severity.in_([one.value for one in Severity if one.rank >= severity.rank])
        )
    if source_id is not None:
        copies = sa.select(link_table.c.incident_id).where(
            link_table.c.tenant_id == tenant_id, link_table.c.source_id == source_id
        )
        where.append(incidents.c.id.in_(copies))
    if not with_merged:
        where.append(incidents.c.merged_into.is_(None))
    return where


def _numbers(
    tx: Transaction, tenant_id: TenantId, ids: list[IncidentId]
) -> dict[IncidentId, dict[str, str]]:
    found: dict[IncidentId, dict[str, str]] = {}
    statement = sa.select(link_table).where(
        link_table.c.tenant_id == tenant_id, link_table.c.incident_id.in_(ids)
    )
    for row in tx.execute(statement.order_by(link_table.c.created_at)):
        found.setdefault(row.incident_id, {})[row.source_id] = row.number or row.native_id
    return found


def _listed(row: sa.Row[Any], numbers: dict[str, str]) -> IncidentRow:
    fields = msgspec.convert(row.fields, IncidentFields)
    return IncidentRow(
        id=row.id,
        title=fields.title or "",
        severity=fields.severity or Severity.UNKNOWN,
        status=fields.status,
        owner=(fields.owner.label or fields.owner.object_id or "") if fields.owner else "",
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
        merged_into=row.merged_into,
        numbers=numbers,
    )


def _revision(row: sa.RowMapping) -> RevisionView:
    values = {name: row[name] for name in RevisionView.__struct_fields__ if name != "tenant_id"}
    return msgspec.convert({"tenant_id": row["tenant_id"], **values}, RevisionView)


def _vouched(fields: dict[str, Any], marks: dict[str, Any]) -> IncidentFields | None:
    """Read what was vouched for; what follows from the alerts was never anybody's to set."""
    said = {name: mark["vouched"] for name, mark in marks.items() if "vouched" in mark}
    if not said:
        return None
    derived = {name: value for name, value in fields.items() if name not in SHARED}
    return msgspec.convert({**derived, **said}, IncidentFields)


def _alert(alert: Any) -> AlertView:
    return AlertView(**{name: getattr(alert, name) for name in AlertView.__struct_fields__})


def _copy(link: Link) -> CopyView:
    return CopyView(**{name: getattr(link, name) for name in CopyView.__struct_fields__})
