"""Workers: who is there, since when, and when each was last heard of."""

from __future__ import annotations

from datetime import datetime

import msgspec
import sqlalchemy as sa

from quell.domain.ids import WorkerId
from quell.journal.tables import workers
from quell.journal.upsert import insert_or_update
from quell.journal.writer import Question, Transaction, Write

__all__ = ["WorkerRow", "beat", "leave", "listed", "register"]


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


def listed() -> Question[list[WorkerRow]]:
    """List the workers that are on record."""

    def ask(tx: Transaction) -> list[WorkerRow]:
        rows = tx.execute(sa.select(workers).order_by(workers.c.id))
        return [WorkerRow(**row._mapping) for row in rows]

    return ask
