"""Entities: canonical things with all their names, and what each incident says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.entity import Alias, Entity, EntityKind, Evidence, EvidenceVerdict
from quell.domain.identity import completed, match
from quell.domain.ids import EntityId, IncidentId, TenantId
from quell.domain.incident import Alert
from quell.domain.ports import EntitySummary
from quell.journal.entity_rows import digest_id, hops, merge_rows
from quell.journal.prepared import its, listed, same
from quell.journal.tables import entities, entity_aliases, incident_entities
from quell.journal.upsert import insert_missing, insert_or_update
from quell.journal.writer import Question, Transaction, Write

__all__ = ["aliases_of", "canonical", "find", "get", "observe", "of"]

#: longer names are known by their digest: an index entry has its limits
LONGEST_NAME = 500
#: worst first
VERDICTS = ("malicious", "suspicious", "unknown", "no_threats_found")

ATTACHED = (
    sa.select(incident_entities, entities.c.body)
    .join(
        entities,
        sa.and_(
            entities.c.tenant_id == incident_entities.c.tenant_id,
            entities.c.id == incident_entities.c.entity_id,
        ),
    )
    .where(same(incident_entities.c.tenant_id))
    .order_by(incident_entities.c.first_seen_at, incident_entities.c.entity_id)
)
READ_SUMMARIES = ATTACHED.where(same(incident_entities.c.incident_id))
READ_SUMMARIES_OF_MANY = ATTACHED.where(listed(incident_entities.c.incident_id))
READ_NAMES = (
    sa.select(entity_aliases.c.scheme, entity_aliases.c.value, entity_aliases.c.is_strong)
    .where(same(entity_aliases.c.tenant_id, entity_aliases.c.entity_id))
    .order_by(entity_aliases.c.is_strong.desc(), entity_aliases.c.scheme, entity_aliases.c.value)
)
READ_CARRIERS = (
    sa.select(entity_aliases.c.entity_id, entities.c.created_at)
    .join(
        entities,
        sa.and_(
            entities.c.tenant_id == entity_aliases.c.tenant_id,
            entities.c.id == entity_aliases.c.entity_id,
        ),
    )
    .where(
        same(entity_aliases.c.tenant_id, entity_aliases.c.entity_kind),
        entity_aliases.c.is_strong.is_(True),
        sa.tuple_(entity_aliases.c.scheme, entity_aliases.c.value).in_(
            sa.bindparam("names", expanding=True)
        ),
    )
    .order_by(entities.c.created_at, entity_aliases.c.entity_id)
)
READ_BODY = sa.select(entities.c.body, entities.c.merged_into).where(
    same(entities.c.tenant_id, entities.c.id)
)
READ_ATTACHED = sa.select(incident_entities).where(
    same(
        incident_entities.c.tenant_id,
        incident_entities.c.incident_id,
        incident_entities.c.entity_id,
    )
)


def of(tenant_id: TenantId, incident_id: IncidentId) -> Question[tuple[EntitySummary, ...]]:
    """List an incident's entities with their roles and verdicts."""
    return lambda tx: summaries(tx, tenant_id, incident_id)


def canonical(tenant_id: TenantId, entity_id: EntityId) -> Question[EntityId]:
    """Give the entity that this one turned out to be; itself where it stands for itself."""
    return lambda tx: hops(tx, tenant_id, entity_id)


def get(tenant_id: TenantId, entity_id: EntityId) -> Question[Entity | None]:
    """Give an entity with everything known of it, by any id it has had."""

    def ask(tx: Transaction) -> Entity | None:
        found = hops(tx, tenant_id, entity_id)
        body = tx.execute(sa.select(entities.c.body).where(_is(tenant_id, found))).scalar()
        return None if body is None else _entity(body)

    return ask


def aliases_of(tenant_id: TenantId, entity_id: EntityId) -> Question[tuple[Alias, ...]]:
    """List all names of an entity, strong ones first."""
    return lambda tx: tuple(_names(tx, tenant_id, hops(tx, tenant_id, entity_id)))


def find(tenant_id: TenantId, kind: EntityKind, text: str) -> Question[list[EntityId]]:
    """Find the entities of a kind that have this id or this name, strong names before weak ones."""

    def ask(tx: Transaction) -> list[EntityId]:
        table = entity_aliases.c
        statement = (
            sa.select(table.entity_id, table.is_strong)
            .where(
                table.tenant_id == tenant_id,
                table.entity_kind == kind.value,
                table.value.in_([_fit(text), _fit(text.strip().lower())]),
            )
            .order_by(table.is_strong.desc(), table.entity_id)
        )
        rows = tx.execute(statement).all()
        strong = [row.entity_id for row in rows if row.is_strong]
        named = strong or [row.entity_id for row in rows]
        by_id = sa.select(entities.c.id).where(
            _is(tenant_id, EntityId(text)), entities.c.kind == kind.value
        )
        ids = [row.id for row in tx.execute(by_id)] or named
        return list(dict.fromkeys(hops(tx, tenant_id, one) for one in ids))

    return ask


def observe(tenant_id: TenantId, entity: Entity, names: Sequence[Alias] = ()) -> Write[EntityId]:
    """Put an entity on record, with further names that a look-up found, and give its id."""

    def apply(tx: Transaction) -> EntityId:
        return resolve(tx, tenant_id, entity, scope="", names=(*entity.aliases(), *names))

    return Write(apply, locks=("entity", tenant_id))


# -- inside a transaction ------------------------------------------------------------------------


def attach(
    tx: Transaction, tenant_id: TenantId, incident_id: IncidentId, alerts: Iterable[Alert]
) -> tuple[EntityId, ...]:
    """Put on record what alerts name; gives the entities that the incident did not have."""
    new: list[EntityId] = []
    for alert in alerts:
        for evidence in alert.evidence:
            entity_id = resolve(tx, tenant_id, evidence.entity, scope=incident_id)
            if attach_one(tx, tenant_id, incident_id, entity_id, alert.id, evidence):
                new.append(entity_id)
    return tuple(dict.fromkeys(new))


def fitted(name: Alias) -> Alias:
    """Give a name that fits into an index, whatever an attacker made of it."""
    return Alias(name.kind, _fit(name.value), name.is_strong)


def _fit(value: str) -> str:
    if len(value) <= LONGEST_NAME:
        return value
    return f"sha256:{hashlib.sha256(value.encode('utf-8', 'replace')).hexdigest()}"


def summaries(tx: Transaction, tenant_id: TenantId, incident_id: str) -> tuple[EntitySummary, ...]:
    asked = its(tenant_id=tenant_id, incident_id=incident_id)
    return tuple(_summary(row) for row in tx.execute(READ_SUMMARIES, asked))


def summaries_of_many(
    tx: Transaction, tenant_id: TenantId, ids: list[str]
) -> dict[str, list[EntitySummary]]:
    """List the entities of many incidents; one without any is missing."""
    found: dict[str, list[EntitySummary]] = {}
    asked = its(tenant_id=tenant_id, incident_id=ids)
    for row in tx.execute(READ_SUMMARIES_OF_MANY, asked):
        found.setdefault(row.incident_id, []).append(_summary(row))
    return found


def _summary(row: sa.Row[Any]) -> EntitySummary:
    return EntitySummary(
        id=row.entity_id,
        kind=EntityKind(row.kind),
        entity=_entity(row.body),
        roles=tuple(row.roles),
        verdict=row.verdict,
        alerts=tuple(row.alerts),
    )


def resolve(
    tx: Transaction,
    tenant_id: TenantId,
    entity: Entity,
    *,
    scope: str,
    names: Sequence[Alias] | None = None,
) -> EntityId:
    """Find or make the canonical entity; things without a strong name exist in `scope` alone."""
    kind = EntityKind(str(entity.__struct_config__.tag))
    own = tuple(fitted(name) for name in (entity.aliases() if names is None else names))
    strong = [name for name in own if name.is_strong]
    if not strong:
        return _ensure(
            tx, tenant_id, kind, entity, own, digest_id(tenant_id, scope, kind, own, entity)
        )
    found = match(kind, own, _carriers(tx, tenant_id, kind, strong))
    entity_id = found.is_known or digest_id(tenant_id, "", kind, strong, None)
    usable = tuple(name for name in own if name not in found.foreign)
    for other in found.joined:
        merge_rows(tx, tenant_id, other, entity_id)
    if found.is_known is None and found.foreign:
        # the names that it shares with somebody else are not its own
        rest = [name for name in strong if name not in found.foreign]
        entity_id = digest_id(
            tenant_id, "" if rest else scope, kind, rest, None if rest else entity
        )
    return _ensure(tx, tenant_id, kind, entity, usable, entity_id)


def _carriers(
    tx: Transaction, tenant_id: TenantId, kind: EntityKind, strong: Sequence[Alias]
) -> dict[EntityId, list[Alias]]:
    asked = its(tenant_id=tenant_id, entity_kind=kind.value)
    names = [(one.kind, one.value) for one in strong]
    rows = tx.execute(READ_CARRIERS, {**asked, "names": names})
    ids = dict.fromkeys(row.entity_id for row in rows)
    return {entity_id: _names(tx, tenant_id, entity_id) for entity_id in ids}


def _names(tx: Transaction, tenant_id: TenantId, entity_id: EntityId) -> list[Alias]:
    rows = tx.execute(READ_NAMES, its(tenant_id=tenant_id, entity_id=entity_id))
    return [Alias(row.scheme, row.value, row.is_strong) for row in rows]


def _ensure(
    tx: Transaction,
    tenant_id: TenantId,
    kind: EntityKind,
    entity: Entity,
    names: Sequence[Alias],
    entity_id: EntityId,
) -> EntityId:
    row = tx.execute(READ_BODY, its(tenant_id=tenant_id, id=entity_id)).first()
    if row is not None and row.merged_into is not None:
        return _ensure(tx, tenant_id, kind, entity, names, hops(tx, tenant_id, entity_id))
    body = entity if row is None else completed(_entity(row.body), entity)
    stamps = {"created_at": tx.now, "updated_at": tx.now}
    values = {"tenant_id": tenant_id, "id": entity_id, "kind": kind.value, "body": body, **stamps}
    if row is None or body != _entity(row.body):
        insert_or_update(tx, entities, values, update=["body", "updated_at"])
    _add_names(tx, tenant_id, kind, entity_id, names)
    return entity_id


def _add_names(
    tx: Transaction,
    tenant_id: TenantId,
    kind: EntityKind,
    entity_id: EntityId,
    names: Sequence[Alias],
) -> None:
    rows = [
        {
            "tenant_id": tenant_id,
            "entity_kind": kind.value,
            "scheme": name.kind,
            "value": name.value,
            "entity_id": entity_id,
            "is_strong": name.is_strong,
            "seen_at": tx.now,
        }
        for name in names
    ]
    insert_missing(tx, entity_aliases, rows)


def attach_one(
    tx: Transaction,
    tenant_id: TenantId,
    incident_id: IncidentId,
    entity_id: EntityId,
    alert_id: str,
    evidence: Evidence,
) -> bool:
    asked = its(tenant_id=tenant_id, incident_id=incident_id, entity_id=entity_id)
    row = tx.execute(READ_ATTACHED, asked).mappings().first()
    known: dict[str, Any] = dict(row) if row is not None else {}
    values = {
        "tenant_id": tenant_id,
        "incident_id": incident_id,
        "entity_id": entity_id,
        "kind": evidence.kind.value,
        "roles": sorted({*known.get("roles", ()), *(role.value for role in evidence.roles)}),
        "verdict": _worse(known.get("verdict"), evidence.verdict),
        "alerts": sorted({*known.get("alerts", ()), alert_id}),
        "first_seen_at": known.get("first_seen_at", tx.now),
    }
    if values != known:
        insert_or_update(tx, incident_entities, values, update=["roles", "verdict", "alerts"])
    return row is None


def _worse(known: str | None, seen: EvidenceVerdict) -> str:
    found = {known or seen.value, seen.value}
    return next((one for one in VERDICTS if one in found), seen.value)


def _entity(body: Any) -> Entity:
    entity: Entity = msgspec.convert(body, Entity)
    return entity


def _is(tenant_id: TenantId, entity_id: EntityId) -> sa.ColumnElement[bool]:
    return sa.and_(entities.c.tenant_id == tenant_id, entities.c.id == entity_id)
