"""Links: each product's copy of an incident, with its shadow."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.hub import Acceptance, Link
from quell.domain.ids import IncidentId, SourceId, TenantId
from quell.journal.prepared import its, same
from quell.journal.prepared import listed as one_of
from quell.journal.tables import incidents, links
from quell.journal.upsert import insert_or_update
from quell.journal.writer import Question, Transaction

__all__ = [
    "count_naming",
    "find",
    "incidents_without",
    "known",
    "left_out",
    "listed",
    "made_since",
    "of_system",
    "pending",
]

#: columns that hold JSON and come back as plain values
BODIES = ("shadow", "observed", "bounds", "echoes", "proofs")

READ_ONE = sa.select(links).where(same(links.c.tenant_id, links.c.source_id, links.c.native_id))
READ_COUNTERPARTS = sa.select(links).where(
    same(links.c.tenant_id, links.c.system, links.c.native_id)
)
READ_NAMING = sa.select(links).where(
    same(links.c.tenant_id, links.c.counterpart_system, links.c.counterpart_id)
)
READ_LOSERS = sa.select(links).where(
    same(links.c.tenant_id, links.c.source_id, links.c.merged_into_native_id)
)
READ_OF_INCIDENT = (
    sa.select(links)
    .where(same(links.c.tenant_id, links.c.incident_id))
    .order_by(links.c.created_at, links.c.id)
)
READ_OF_INCIDENTS = (
    sa.select(links)
    .where(same(links.c.tenant_id), one_of(links.c.incident_id))
    .order_by(links.c.created_at, links.c.id)
)


def find(tenant_id: TenantId, source_id: SourceId, native_id: str) -> Question[Link | None]:
    """Find the link to one product's copy."""
    return lambda tx: find_link(tx, tenant_id, source_id, native_id)


def listed(tenant_id: TenantId, source_id: SourceId | None = None) -> Question[list[Link]]:
    """List the links of a tenant, or of one source."""

    def ask(tx: Transaction) -> list[Link]:
        statement = sa.select(links).where(links.c.tenant_id == tenant_id)
        if source_id is not None:
            statement = statement.where(links.c.source_id == source_id)
        return [_link(row) for row in tx.execute(statement.order_by(links.c.created_at)).mappings()]

    return ask


def known(
    tenant_id: TenantId, source_id: SourceId, native_ids: Collection[str]
) -> Question[dict[str, Link]]:
    """Find the links to many of a source's copies, by native id."""

    def ask(tx: Transaction) -> dict[str, Link]:
        statement = sa.select(links).where(
            links.c.tenant_id == tenant_id,
            links.c.source_id == source_id,
            links.c.native_id.in_(list(native_ids)),
        )
        return {row["native_id"]: _link(row) for row in tx.execute(statement).mappings()}

    return ask


def of_system(
    tenant_id: TenantId, system: str, native_ids: Collection[str]
) -> Question[frozenset[str]]:
    """Tell which of a product's incidents have a link, whatever instance of it they are from."""
    statement = sa.select(links.c.native_id).where(
        links.c.tenant_id == tenant_id,
        links.c.system == system,
        links.c.native_id.in_(list(native_ids)),
    )
    return lambda tx: frozenset(row.native_id for row in tx.execute(statement))


def pending(tenant_id: TenantId, source_id: SourceId | None = None) -> Question[list[IncidentId]]:
    """List the incidents with a copy whose differences nobody has accepted yet, oldest first."""

    def ask(tx: Transaction) -> list[IncidentId]:
        statement = sa.select(links.c.incident_id, sa.func.min(links.c.created_at)).where(
            links.c.tenant_id == tenant_id,
            links.c.acceptance == Acceptance.PENDING.value,
            # nobody can accept what takes no part any more
            links.c.deleted_at.is_(None),
            links.c.retired_to.is_(None),
            links.c.merged_into_native_id.is_(None),
        )
        if source_id is not None:
            statement = statement.where(links.c.source_id == source_id)
        grouped = statement.group_by(links.c.incident_id).order_by(sa.func.min(links.c.created_at))
        return [row.incident_id for row in tx.execute(grouped)]

    return ask


def count_naming(tenant_id: TenantId, source_id: SourceId) -> Question[int]:
    """Count a source's copies that say they mirror another product's incident."""
    statement = (
        sa.select(sa.func.count())
        .select_from(links)
        .where(
            links.c.tenant_id == tenant_id,
            links.c.source_id == source_id,
            links.c.counterpart_id.is_not(None),
            links.c.is_ours.is_(False),
        )
    )
    return lambda tx: int(tx.execute(statement).scalar_one())


def incidents_without(tenant_id: TenantId, source_id: SourceId) -> Question[list[IncidentId]]:
    """List the incidents that have never had a copy in a source, oldest first."""
    there = sa.select(links.c.incident_id).where(
        links.c.tenant_id == tenant_id, links.c.source_id == source_id
    )
    statement = (
        sa.select(incidents.c.id)
        .where(
            incidents.c.tenant_id == tenant_id,
            incidents.c.merged_into.is_(None),
            incidents.c.id.not_in(there),
        )
        .order_by(incidents.c.created_at, incidents.c.id)
    )
    return lambda tx: [row.id for row in tx.execute(statement)]


def left_out(tenant_id: TenantId) -> Question[list[IncidentId]]:
    """List the incidents that the rules leave alone, oldest first."""
    # the body is text to the database, and written by us alone
    says_so = sa.type_coerce(incidents.c.routing, sa.Text).like('%"is_synced":false%')
    statement = (
        sa.select(incidents.c.id)
        .where(incidents.c.tenant_id == tenant_id, incidents.c.merged_into.is_(None), says_so)
        .order_by(incidents.c.created_at, incidents.c.id)
    )
    return lambda tx: [IncidentId(row.id) for row in tx.execute(statement)]


def made_since(
    tenant_id: TenantId, source_id: SourceId, since: datetime
) -> Question[tuple[int, int]]:
    """Count the copies in a source that came after a moment: the product's own, and ours."""
    table = links.c
    theirs = sa.and_(table.counterpart_id.is_not(None), table.is_ours.is_(False))
    statement = sa.select(
        sa.func.count().filter(theirs).label("theirs"),
        sa.func.count().filter(table.is_ours.is_(True)).label("ours"),
    ).where(table.tenant_id == tenant_id, table.source_id == source_id, table.created_at > since)

    def ask(tx: Transaction) -> tuple[int, int]:
        row = tx.execute(statement).one()
        return int(row.theirs), int(row.ours)

    return ask


# -- inside a transaction ------------------------------------------------------------------------


def find_link(
    tx: Transaction, tenant_id: TenantId, source_id: SourceId, native_id: str
) -> Link | None:
    asked = its(tenant_id=tenant_id, source_id=source_id, native_id=native_id)
    row = tx.execute(READ_ONE, asked).mappings().first()
    return _link(row) if row is not None else None


def find_counterparts(
    tx: Transaction, tenant_id: TenantId, system: str, native_id: str
) -> list[Link]:
    """List the links to a system's incident of that number; several instances may have it."""
    asked = its(tenant_id=tenant_id, system=system, native_id=native_id)
    return [_link(row) for row in tx.execute(READ_COUNTERPARTS, asked).mappings()]


def find_naming(tx: Transaction, tenant_id: TenantId, system: str, native_id: str) -> list[Link]:
    """List the copies that say they mirror a system's incident of that number."""
    asked = its(tenant_id=tenant_id, counterpart_system=system, counterpart_id=native_id)
    return [_link(row) for row in tx.execute(READ_NAMING, asked).mappings()]


def find_losers(
    tx: Transaction, tenant_id: TenantId, source_id: SourceId, native_id: str
) -> list[Link]:
    """List the copies that were merged into another of the same source."""
    asked = its(tenant_id=tenant_id, source_id=source_id, merged_into_native_id=native_id)
    return [_link(row) for row in tx.execute(READ_LOSERS, asked).mappings()]


def of_incident(tx: Transaction, tenant_id: TenantId, incident_id: str) -> tuple[Link, ...]:
    asked = its(tenant_id=tenant_id, incident_id=incident_id)
    return tuple(_link(row) for row in tx.execute(READ_OF_INCIDENT, asked).mappings())


def of_incidents(tx: Transaction, tenant_id: TenantId, ids: list[str]) -> dict[str, list[Link]]:
    """List the links of many incidents; one without any is missing."""
    found: dict[str, list[Link]] = {}
    for row in tx.execute(READ_OF_INCIDENTS, its(tenant_id=tenant_id, incident_id=ids)).mappings():
        found.setdefault(row["incident_id"], []).append(_link(row))
    return found


def save_link(tx: Transaction, tenant_id: TenantId, link: Link) -> None:
    values: dict[str, Any] = {name: getattr(link, name) for name in link.__struct_fields__}
    for name in BODIES:
        values[name] = msgspec.to_builtins(values[name])
    values["acceptance"] = link.acceptance.value
    row = {"tenant_id": tenant_id, **values, "created_at": tx.now}
    update = [name for name in values if name != "id"]
    insert_or_update(tx, links, row, update=update)


def _link(row: sa.RowMapping) -> Link:
    values = {name: row[name] for name in Link.__struct_fields__}
    return msgspec.convert(values, Link)
