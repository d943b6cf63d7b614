"""Workers: who is there, since when, and when each was last heard of."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa

from quell.domain.ids import WorkerId
from quell.domain.run import RunState
from quell.journal.tables import leases, runs, workers
from quell.journal.upsert import insert_or_update
from quell.journal.writer import Question, Transaction, Write

__all__ = ["WorkerRow", "beat", "bury", "leave", "listed", "register"]


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One worker as the journal knows it."""

    id: WorkerId
    host: str
    pid: int
    version: str
    started_at: datetime
    beat_at: datetime
    is_draining: bool


def register(worker: WorkerId, *, host: str, pid: int, version: str) -> Write[None]:
    """Write down that a worker has started."""

    def apply(tx: Transaction) -> None:
        row = {
            "id": worker,
            "host": host,
            "pid": pid,
            "version": version,
            "started_at": tx.now,
            "beat_at": tx.now,
            "is_draining": False,
        }
        insert_or_update(tx, workers, row)

    return Write(apply, locks=("worker", worker))


def beat(worker: WorkerId, *, is_draining: bool = False) -> Write[bool]:
    """Say that a worker is alive."""

    def apply(tx: Transaction) -> bool:
        mine = sa.update(workers).where(workers.c.id == worker)
        return tx.changed(mine.values(beat_at=tx.now, is_draining=is_draining))

    return Write(apply, locks=("worker", worker))


def leave(worker: WorkerId) -> Write[bool]:
    """Strike a worker off: it stopped in good order."""
    statement = sa.delete(workers).where(workers.c.id == worker)
    return Write(lambda tx: tx.changed(statement), locks=("worker", worker))


def bury(worker: WorkerId) -> Write[bool]:
    """Strike a worker off that is known to be dead, and let everything it held run out now.

    For a journal that one host has to itself: whoever calls this has seen that the process is
    gone. Should it live after all, the fences stop it at its next write. What it may have sent
    is looked at before anything is sent again, as after any takeover.
    """

    def apply(tx: Transaction) -> bool:
        past = tx.now - timedelta(seconds=1)
        mine = sa.and_(runs.c.owner == worker, runs.c.state == RunState.RUNNING.value)
        # found by the next sweep even if an earlier one found it just now
        tx.execute(sa.update(runs).where(mine).values(lease_until=past, swept_at=None))
        held = sa.and_(leases.c.owner == worker, leases.c.until > past)
        tx.execute(sa.update(leases).where(held).values(until=past))
        return tx.changed(sa.delete(workers).where(workers.c.id == worker))

    return Write(apply, locks=("worker", worker))


def listed() -> Question[list[WorkerRow]]:
    """List the workers that are on record."""

    def ask(tx: Transaction) -> list[WorkerRow]:
        rows = tx.execute(sa.select(workers).order_by(workers.c.id)).mappings()
        return [WorkerRow(**row) for row in rows]

    return ask
