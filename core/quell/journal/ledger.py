"""The ledger of what playbooks acted on, as incidents and entities become one."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from quell.domain.ids import IncidentId, TenantId
from quell.domain.run import EffectState, RunState
from quell.journal.tables import acted, effects, entities, held_starts, runs, targets
from quell.journal.upsert import insert_missing
from quell.journal.writer import Transaction

__all__ = ["join", "move", "move_held"]

#: longest chain of joined entities that is followed
HOPS = 16
#: an effect that has happened, or may have
REAL = (
    EffectState.INTENDED,
    EffectState.PENDING,
    EffectState.DONE,
    EffectState.ALREADY,
    EffectState.UNKNOWN,
)


def move(tx: Transaction, tenant_id: TenantId, loser: IncidentId, winner: IncidentId) -> None:
    """Let a merged incident's ledger count for the winner.

    What a run had only taken on, and did not come to, is free: its run stops, the winner's acts.
    """
    same_target = sa.and_(
        effects.c.tenant_id == acted.c.tenant_id,
        effects.c.run_id == acted.c.run_id,
        effects.c.target_id == acted.c.target_id,
        effects.c.state.in_([state.value for state in REAL]),
    )
    statement = sa.select(acted).where(
        acted.c.tenant_id == tenant_id,
        acted.c.incident_id == loser,
        # where the effects themselves were pruned, the ledger says what came of them
        sa.or_(acted.c.is_real, sa.exists().where(same_target)),
    )
    _copy(tx, statement, incident_id=winner)
    for target_id, now_known_as in _renamed(tx, tenant_id, winner).items():
        mine = sa.and_(
            acted.c.tenant_id == tenant_id,
            acted.c.incident_id == winner,
            acted.c.target_id == target_id,
        )
        _copy(tx, sa.select(acted).where(mine), target_id=now_known_as)


def move_held(tx: Transaction, tenant_id: TenantId, loser: IncidentId, winner: IncidentId) -> None:
    """Let starts that wait for a person wait on the winner: the loser is only a name of it now."""
    waiting = sa.and_(
        held_starts.c.tenant_id == tenant_id,
        held_starts.c.incident_id == loser,
        held_starts.c.released_at.is_(None),
    )
    rows = [dict(row) for row in tx.execute(sa.select(held_starts).where(waiting)).mappings()]
    insert_missing(tx, held_starts, [{**row, "incident_id": winner} for row in rows])
    tx.execute(sa.delete(held_starts).where(waiting))


def _renamed(tx: Transaction, tenant_id: TenantId, incident_id: IncidentId) -> dict[str, str]:
    """List an incident's targets that turned out to be another entity: effects keep old names."""
    listed = sa.select(acted.c.target_id).where(
        acted.c.tenant_id == tenant_id, acted.c.incident_id == incident_id
    )
    found = {one: one for one in tx.execute(listed).scalars()}
    for _ in range(HOPS):
        onward = sa.select(entities.c.id, entities.c.merged_into).where(
            entities.c.tenant_id == tenant_id,
            entities.c.id.in_(sorted(set(found.values()))),
            entities.c.merged_into.is_not(None),
        )
        hops = {row.id: row.merged_into for row in tx.execute(onward)}
        if not hops:
            break
        found = {one: hops.get(now, now) for one, now in found.items()}
    return {one: now for one, now in found.items() if one != now}


def join(tx: Transaction, tenant_id: TenantId, loser: str, winner: str) -> None:
    """Let what was done to an entity count for the one that it turned out to be.

    The effects themselves keep the name that they were done under.
    """
    mine = sa.and_(acted.c.tenant_id == tenant_id, acted.c.target_id == loser)
    _copy(tx, sa.select(acted).where(mine), target_id=winner)
    _rename_in_scopes(tx, tenant_id, loser, winner)
    seqs = sa.select(targets.c.target_id, targets.c.seq).where(
        targets.c.tenant_id == tenant_id, targets.c.target_id.in_([loser, winner])
    )
    found = {row.target_id: row.seq for row in tx.execute(seqs)}
    if loser not in found:
        return
    # further than both: whoever has just looked at either of them looks again
    seq = sum(found.values()) + 1
    row = {"tenant_id": tenant_id, "target_id": winner, "seq": seq}
    insert_missing(tx, targets, [row])
    its_own = sa.and_(targets.c.tenant_id == tenant_id, targets.c.target_id == winner)
    tx.execute(sa.update(targets).where(its_own).values(seq=seq))


def _rename_in_scopes(tx: Transaction, tenant_id: TenantId, loser: str, winner: str) -> None:
    """Let runs under way know what they took on by its new id: else they would leave it alone."""
    statement = sa.select(runs.c.id, runs.c.scope).where(
        runs.c.tenant_id == tenant_id,
        # those named, not all but those: an index leads to them past a million finished ones
        runs.c.state.in_([state.value for state in RunState if not state.is_final]),
    )
    for row in tx.execute(statement).all():
        if row.scope is None or loser not in row.scope:
            continue
        scope = list(dict.fromkeys(winner if one == loser else one for one in row.scope))
        mine = sa.and_(runs.c.tenant_id == tenant_id, runs.c.id == row.id)
        tx.execute(sa.update(runs).where(mine).values(scope=scope))


def _copy(tx: Transaction, statement: sa.Select[Any], **changes: str) -> None:
    rows = [dict(row) for row in tx.execute(statement).mappings()]
    insert_missing(tx, acted, [{**row, **changes} for row in rows])
