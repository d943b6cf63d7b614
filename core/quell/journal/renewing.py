"""Renewing the leases of everything that one process has in hand, in one statement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from quell.domain.ids import RunId, TenantId, WorkerId
from quell.domain.run import RunState
from quell.journal.run_rows import RunRef
from quell.journal.tables import runs
from quell.journal.writer import Transaction, Write

__all__ = ["Renewed", "renew_all"]


class Renewed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a renewal."""

    #: runs that somebody else has now
    lost: frozenset[RunRef]
    #: runs that are still this worker's and whose rows were being written just then: try again
    missed: frozenset[RunRef]


def renew_all(worker: WorkerId, held: Mapping[RunRef, int], lasting: timedelta) -> Write[Renewed]:
    """Hold on to the runs of a worker, each with the fence of its claim; waits for nobody.

    What the worker itself has let go meanwhile is neither renewed nor lost.
    """

    def apply(tx: Transaction) -> Renewed:
        mine = sa.and_(
            runs.c.owner == worker,
            runs.c.state == RunState.RUNNING.value,
            runs.c.id.in_(sorted(ref.run_id for ref in held)),
        )
        # a row that a write of this very run has locked is left out: one must not hold up all
        free = sa.select(runs.c.tenant_id, runs.c.id).where(mine).with_for_update(skip_locked=True)
        renewed = (
            sa.update(runs)
            .where(sa.tuple_(runs.c.tenant_id, runs.c.id).in_(free))
            .values(lease_until=tx.now + lasting)
            .returning(runs.c.tenant_id, runs.c.id, runs.c.fence, runs.c.owner)
        )
        seen = _read(tx, renewed)
        left_out: dict[RunRef, _Standing] = {}
        if missing := sorted(held.keys() - seen.keys()):
            key = sa.tuple_(runs.c.tenant_id, runs.c.id)
            asked = sa.select(runs.c.tenant_id, runs.c.id, runs.c.fence, runs.c.owner)
            left_out = _read(tx, asked.where(key.in_(missing)))
        # a fence grows with every claim: another one means that somebody else has the run
        lost = [ref for ref, one in (seen | left_out).items() if one.fence != held[ref]]
        missed = [ref for ref, one in left_out.items() if one == (held[ref], worker)]
        return Renewed(lost=frozenset(lost), missed=frozenset(missed))

    return Write(apply, locks=("lease", worker))


class _Standing(NamedTuple):
    fence: int
    owner: WorkerId | None


def _read(tx: Transaction, statement: sa.Executable) -> dict[RunRef, _Standing]:
    return {
        RunRef(TenantId(row.tenant_id), RunId(row.id)): _Standing(int(row.fence), row.owner)
        for row in tx.execute(statement)
    }
