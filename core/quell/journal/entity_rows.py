"""Joins two entities that turned out to be one, in every table that knows them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.entity import Alias, Entity, EntityKind
from quell.domain.identity import completed
from quell.domain.ids import EntityId, IncidentId, TenantId
from quell.journal import holds, ledger
from quell.journal.prepared import its, same
from quell.journal.tables import entities, entity_aliases, incident_entities
from quell.journal.upsert import insert_missing, insert_or_update
from quell.journal.writer import Transaction

__all__ = ["digest_id", "hops", "merge_rows", "move_entities"]

#: longest chain of aliases that is followed; a longer one is a mistake of ours
HOPS = 16
READ_ONWARD = sa.select(entities.c.merged_into).where(same(entities.c.tenant_id, entities.c.id))


def digest_id(
    tenant_id: TenantId,
    scope: str,
    kind: EntityKind,
    names: Sequence[Alias],
    entity: Entity | None,
) -> EntityId:
    """Give an entity's id from its names; from all it says where it has none."""
    said: Any = [[name.kind, name.value] for name in sorted(names)]
    if not said and entity is not None:
        said = msgspec.to_builtins(entity)
    content = msgspec.json.encode([tenant_id, scope, kind.value, said], order="sorted")
    return EntityId(hashlib.sha256(content).hexdigest()[:32])


def hops(tx: Transaction, tenant_id: TenantId, entity_id: EntityId) -> EntityId:
    """Follow aliases to the entity that stands for itself."""
    for _ in range(HOPS):
        asked = its(tenant_id=tenant_id, id=entity_id)
        onward = tx.execute(READ_ONWARD, asked).scalar_one_or_none()
        if onward is None:
            return entity_id
        entity_id = EntityId(onward)
    return entity_id


def merge_rows(tx: Transaction, tenant_id: TenantId, loser: EntityId, winner: EntityId) -> None:
    """Make one entity an alias of another; names, incidents, holds and ledger go over."""
    _merge_bodies(tx, tenant_id, loser, winner)
    table = entity_aliases.c
    mine = sa.and_(table.tenant_id == tenant_id, table.entity_id == loser)
    names = [dict(row) for row in tx.execute(sa.select(entity_aliases).where(mine)).mappings()]
    tx.execute(sa.delete(entity_aliases).where(mine))
    insert_missing(tx, entity_aliases, [{**name, "entity_id": winner} for name in names])
    of_loser = sa.and_(
        incident_entities.c.tenant_id == tenant_id, incident_entities.c.entity_id == loser
    )
    for row in tx.execute(sa.select(incident_entities).where(of_loser)).mappings().all():
        _join(tx, {**row, "entity_id": winner})
    tx.execute(sa.delete(incident_entities).where(of_loser))
    holds.move(tx, tenant_id, [loser], winner)
    ledger.join(tx, tenant_id, loser, winner)


def move_entities(
    tx: Transaction, tenant_id: TenantId, loser: IncidentId, winner: IncidentId
) -> tuple[EntityId, ...]:
    """Give a merged incident's entities to the winner; gives those that it did not have."""
    table = incident_entities.c
    of_winner = sa.select(table.entity_id).where(
        table.tenant_id == tenant_id, table.incident_id == winner
    )
    known = set(tx.execute(of_winner).scalars())
    new: list[EntityId] = []
    mine = sa.and_(
        incident_entities.c.tenant_id == tenant_id, incident_entities.c.incident_id == loser
    )
    for row in tx.execute(sa.select(incident_entities).where(mine)).mappings().all():
        _join(tx, {**row, "incident_id": winner})
        new += [row["entity_id"]] if row["entity_id"] not in known else []
    tx.execute(sa.delete(incident_entities).where(mine))
    return tuple(new)


def _merge_bodies(tx: Transaction, tenant_id: TenantId, loser: EntityId, winner: EntityId) -> None:
    statement = sa.select(entities.c.id, entities.c.body).where(
        entities.c.tenant_id == tenant_id, entities.c.id.in_([loser, winner])
    )
    bodies: dict[str, Entity] = {
        row.id: msgspec.convert(row.body, Entity) for row in tx.execute(statement)
    }
    if loser in bodies and winner in bodies:
        # what the older one already says stays
        body = completed(bodies[loser], bodies[winner])
        of_winner = sa.and_(entities.c.tenant_id == tenant_id, entities.c.id == winner)
        tx.execute(sa.update(entities).where(of_winner).values(body=body, updated_at=tx.now))
    of_loser = sa.and_(entities.c.tenant_id == tenant_id, entities.c.id == loser)
    tx.execute(sa.update(entities).where(of_loser).values(merged_into=winner, updated_at=tx.now))


def _join(tx: Transaction, row: dict[str, Any]) -> None:
    table = incident_entities.c
    same = sa.and_(
        table.tenant_id == row["tenant_id"],
        table.incident_id == row["incident_id"],
        table.entity_id == row["entity_id"],
    )
    known = tx.execute(sa.select(incident_entities).where(same)).first()
    if known is not None:
        row["roles"] = sorted({*row["roles"], *known.roles})
        row["alerts"] = sorted({*row["alerts"], *known.alerts})
        row["first_seen_at"] = min(row["first_seen_at"], known.first_seen_at)
        order = ("malicious", "suspicious", "unknown", "no_threats_found")
        row["verdict"] = min(row["verdict"], known.verdict, key=order.index)
    insert_or_update(tx, incident_entities, row)
