"""What the guard is told: how tenant, run and targets stand, read under their locks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.approval import Ask
from quell.domain.entity import Alias, EntityKind
from quell.domain.hold import Hold
from quell.domain.ids import ApprovalId, StepKey, TenantId
from quell.domain.outcome import Observation
from quell.domain.run import EffectState
from quell.journal import effects, holds, switches
from quell.journal.effects import DroppedHolds, EffectRow
from quell.journal.prepared import among, its, listed, same
from quell.journal.run_rows import RunRow
from quell.journal.tables import (
    acted,
    entities,
    entity_aliases,
    incident_entities,
    incidents,
    targets,
)
from quell.journal.tables import effects as effects_table
from quell.journal.writer import Question, Transaction

__all__ = ["Glance", "Standing", "StepTerms", "TargetStanding", "Wanted", "glance", "read_standing"]

#: how far back the cap per hour looks
WINDOW = timedelta(hours=1)
UNDER_WAY = (EffectState.INTENDED, EffectState.PENDING)
#: effects that were sent, or will be
SENT = tuple(
    state for state in EffectState if state not in {EffectState.DENIED, EffectState.ALREADY}
)
#: how many joins of entities are followed back
MERGE_DEPTH = 8
#: kinds of targets that are entities, with names and a past; an incident is none
KINDS = frozenset(kind.value for kind in EntityKind)

READ_NAMES = sa.select(entity_aliases).where(
    same(entity_aliases.c.tenant_id), listed(entity_aliases.c.entity_id)
)
READ_LOSERS = sa.select(entities.c.id, entities.c.merged_into).where(
    same(entities.c.tenant_id), listed(entities.c.merged_into)
)
READ_ACTED = sa.select(acted.c.target_id, acted.c.run_id).where(
    same(acted.c.tenant_id, acted.c.playbook_id, acted.c.incident_id),
    listed(acted.c.target_id),
    acted.c.run_id != sa.bindparam("run"),
)
READ_NAMED = sa.select(incident_entities.c.entity_id).where(
    same(incident_entities.c.tenant_id, incident_entities.c.incident_id),
    listed(incident_entities.c.entity_id),
)
READ_MERGED = sa.select(incidents.c.merged_into).where(same(incidents.c.tenant_id, incidents.c.id))
READ_SEQ = sa.select(targets.c.seq).where(same(targets.c.tenant_id, targets.c.target_id))


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One effect that a step wants on one target."""

    key: str
    vendor_key: str
    #: canonical
    target_id: str
    #: the entity as the incident had it when the step began; what people are shown
    asked_id: str
    target_kind: str
    #: a name for people; attacker-controlled
    name: str
    #: enough to look the target up again
    target: dict[str, Any]
    before: Observation | None = None
    #: nothing is on record of it yet
    is_fresh: bool = False
    #: the state is there already: a hold is added and nothing is sent
    is_already: bool = False
    #: what that does to holds
    adds: tuple[Hold, ...] = ()
    drops: tuple[DroppedHolds, ...] = ()


class StepTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What all effects of one step share."""

    step_key: StepKey
    action: str
    system: str
    kind: str
    is_guarded: bool
    params: dict[str, Any]
    params_digest: str
    #: the lasting state that the action makes or ends
    state: str | None
    #: actions that make or end the same state
    rivals: tuple[str, ...]
    by: str
    policy: str
    #: how a question is put, if one is needed
    ask: Ask
    #: id of the question that may come of it
    approval_id: ApprovalId


class TargetStanding(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal knows about one target, under its lock."""

    holds: tuple[Hold, ...] = ()
    #: every name that is on record for it
    aliases: tuple[Alias, ...] = ()
    #: keys of others' effects on the same state: on their way, at the vendor, unclear
    sending_rivals: tuple[str, ...] = ()
    pending_rivals: tuple[str, ...] = ()
    unclear_rivals: tuple[str, ...] = ()
    #: how many effects on it have been decided
    seq: int = 0
    #: a newer effect on the same state that was decided after this one
    overtaken_by: str | None = None
    #: another run of this playbook that acted on it for this incident
    acted_by: str | None = None
    #: the run's incident does not name it (any more)
    is_outside: bool = False


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the guard is told: how everything stands in the transaction that it decides in."""

    now: datetime
    run: RunRow
    is_armed: bool
    is_halted: bool
    #: the run's incident was merged into this one
    merged_into: str | None = None
    #: effects of this kind: sent in the last hour, sent by this run, open now
    in_hour: int = 0
    in_run: int = 0
    in_flight: int = 0
    targets: Mapping[str, TargetStanding] = msgspec.field(default_factory=dict[str, TargetStanding])


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal said about a target before it was looked at."""

    seq: int
    #: others' effects on the same state were open: what a look shows may change at once
    has_rivals: bool


def glance(
    tenant_id: TenantId, target_id: str, rivals: Sequence[str], own_key: str
) -> Question[Glance]:
    """Tell how far the effects on a target are, so that a look at it can be known to be stale."""
    asked = its(tenant_id=tenant_id, target_id=target_id)
    is_open = sa.select(effects_table.c.effect_key).where(
        effects_table.c.tenant_id == tenant_id,
        effects_table.c.target_id == target_id,
        effects_table.c.action.in_(list(rivals)),
        effects_table.c.effect_key != own_key,
        effects_table.c.state.in_([EffectState.INTENDED.value, EffectState.PENDING.value]),
    )

    def ask(tx: Transaction) -> Glance:
        return Glance(
            seq=tx.execute(READ_SEQ, asked).scalar_one_or_none() or 0,
            has_rivals=tx.execute(is_open.limit(1)).first() is not None,
        )

    return ask


def read_standing(
    tx: Transaction,
    row: RunRow,
    terms: StepTerms,
    wanted: Sequence[Wanted],
    known: Mapping[str, EffectRow],
    seqs: Mapping[str, int],
) -> Standing:
    """Read how everything stands for a set of wanted effects; they themselves do not count."""
    ids = [one.target_id for one in wanted if one.target_kind in KINDS]
    families = _families(tx, row.tenant_id, ids)
    by_target = _others(tx, row.tenant_id, terms, wanted, families)
    names = _aliases(tx, row.tenant_id, ids)
    for winner, losers in families.items():
        holds.move(tx, row.tenant_id, losers, winner)
    held = holds.of_entities(tx, row.tenant_id, ids, terms.state) if terms.state else {}
    earlier = _acted_by(tx, row, [one.asked_id for one in wanted]) if terms.is_guarded else {}
    counts = _counts(tx, row, terms, wanted, known) if terms.is_guarded else {}
    outside = _outside(tx, row, wanted) if terms.is_guarded else frozenset[str]()
    is_armed, is_halted = switches.both(tx, row.tenant_id)
    standings = {
        one.target_id: msgspec.structs.replace(
            _target_standing(
                one, known.get(one.key), by_target.get(one.target_id, []), held, earlier, names
            ),
            seq=seqs.get(one.target_id, 0),
            is_outside=one.key in outside,
        )
        for one in wanted
    }
    return Standing(
        now=tx.now,
        run=row,
        is_armed=is_armed,
        is_halted=is_halted,
        merged_into=_merged_into(tx, row),
        targets=standings,
        **counts,
    )


def _target_standing(
    one: Wanted,
    own: EffectRow | None,
    others: Sequence[EffectRow],
    held: Mapping[str, list[Hold]],
    earlier: Mapping[str, str],
    names: Mapping[str, list[Alias]],
) -> TargetStanding:
    def keys(state: EffectState) -> tuple[str, ...]:
        return tuple(other.key for other in others if other.state is state)

    newer = [
        other.key
        for other in others
        if own is not None and other.seq > own.seq and other.state is not EffectState.DENIED
    ]
    return TargetStanding(
        holds=tuple(held.get(one.target_id, ())),
        aliases=tuple(names.get(one.target_id, ())),
        sending_rivals=keys(EffectState.INTENDED),
        pending_rivals=keys(EffectState.PENDING),
        unclear_rivals=keys(EffectState.UNKNOWN),
        overtaken_by=newer[-1] if newer else None,
        acted_by=earlier.get(one.asked_id),
    )


def _others(
    tx: Transaction,
    tenant_id: TenantId,
    terms: StepTerms,
    wanted: Sequence[Wanted],
    families: Mapping[str, Sequence[str]],
) -> dict[str, list[EffectRow]]:
    """List effects of others on the same state of the same targets that still matter."""
    if terms.state is None:
        return {}
    live = [EffectState.INTENDED, EffectState.PENDING, EffectState.UNKNOWN, EffectState.DONE]
    now_known_as = {one: winner for winner, losers in families.items() for one in losers}
    ids = [*(one.target_id for one in wanted), *now_known_as]
    statement = (
        sa.select(effects_table)
        .where(
            effects_table.c.tenant_id == tenant_id,
            effects_table.c.target_id.in_(ids),
            effects_table.c.action.in_(list(terms.rivals)),
            effects_table.c.state.in_([state.value for state in live]),
            effects_table.c.effect_key.not_in([one.key for one in wanted]),
        )
        .order_by(effects_table.c.seq)
    )
    found: dict[str, list[EffectRow]] = {}
    for row in tx.execute(statement):
        was: str = row.target_id
        target_id = now_known_as.get(was, was)
        found.setdefault(target_id, []).append(effects.row_of(row))
    return found


def _aliases(tx: Transaction, tenant_id: TenantId, ids: Sequence[str]) -> dict[str, list[Alias]]:
    found: dict[str, list[Alias]] = {}
    if not ids:
        return found
    for row in tx.execute(READ_NAMES, its(tenant_id=tenant_id, entity_id=list(ids))):
        alias = Alias(kind=row.scheme, value=row.value, is_strong=row.is_strong)
        found.setdefault(row.entity_id, []).append(alias)
    return found


def _families(tx: Transaction, tenant_id: TenantId, ids: Sequence[str]) -> dict[str, list[str]]:
    """List, by target, the entities that turned out to be the same: their past counts for it."""
    found: dict[str, list[str]] = {}
    winners = {one: one for one in ids}
    for _ in range(MERGE_DEPTH if ids else 0):
        rows = tx.execute(READ_LOSERS, its(tenant_id=tenant_id, merged_into=list(winners)))
        losers = {row.id: winners[row.merged_into] for row in rows}
        for loser, winner in losers.items():
            found.setdefault(winner, []).append(loser)
        if not losers:
            break
        winners = losers
    return found


def _acted_by(tx: Transaction, row: RunRow, ids: Sequence[str]) -> dict[str, str]:
    asked = its(
        tenant_id=row.tenant_id,
        playbook_id=row.playbook_id,
        incident_id=row.incident_id or "",
        target_id=list(ids),
    )
    rows = tx.execute(READ_ACTED, {**asked, "run": row.id})
    return {found.target_id: found.run_id for found in rows}


def _outside(tx: Transaction, row: RunRow, wanted: Sequence[Wanted]) -> frozenset[str]:
    """Give the keys of effects on what the run's incident does not name now."""
    if row.incident_id is None:
        return frozenset()
    ids = {one.target_id for one in wanted} | {one.asked_id for one in wanted}
    asked = its(tenant_id=row.tenant_id, incident_id=row.incident_id, entity_id=sorted(ids))
    named = set(tx.execute(READ_NAMED, asked).scalars())
    return frozenset(one.key for one in wanted if not named & {one.target_id, one.asked_id})


def _counts(
    tx: Transaction,
    row: RunRow,
    terms: StepTerms,
    wanted: Sequence[Wanted],
    known: Mapping[str, EffectRow],
) -> dict[str, int]:
    wished = {one.key for one in wanted}
    counted = sa.and_(
        effects_table.c.tenant_id == row.tenant_id,
        effects_table.c.kind == terms.kind,
        effects_table.c.effect_key.not_in(wished),
    )

    def count(states: Collection[EffectState], *where: sa.ColumnElement[bool]) -> int:
        # the states that count are named: an index then leads past a million others
        named = among(effects_table.c.state, states)
        statement = sa.select(sa.func.count()).select_from(effects_table)
        return int(tx.execute(statement.where(counted, named, *where)).scalar_one())

    of_run = [one for one in known.values() if one.kind == terms.kind and one.key not in wished]
    return {
        "in_hour": count(SENT, effects_table.c.decided_at > tx.now - WINDOW),
        "in_run": sum(one.state in SENT for one in of_run),
        "in_flight": count(UNDER_WAY),
    }


def _merged_into(tx: Transaction, row: RunRow) -> str | None:
    if row.incident_id is None:
        return None
    asked = its(tenant_id=row.tenant_id, id=row.incident_id)
    return tx.execute(READ_MERGED, asked).scalar_one_or_none()
