"""How large the journal is: rows by table, bytes, and how far back it goes."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa

from quell.domain.run import RunState
from quell.errors import StateError
from quell.journal import migrate
from quell.journal.tables import metadata, runs, workers
from quell.journal.writer import Question, Transaction, Write

__all__ = ["Size", "measure", "upgrade"]

#: a worker that was not heard of for so long is gone
GONE_AFTER = timedelta(minutes=10)
#: the first release whose programs know the newest schema
SINCE = (0, 2)


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """The journal in numbers."""

    schema: str
    #: what a program must know at least to work here
    floor: str
    bytes: int
    rows: dict[str, int]
    #: when the oldest finished run that has its details ended
    oldest: datetime | None


def measure() -> Question[Size]:
    """Count everything. Takes some seconds where there are millions of rows."""

    def ask(tx: Transaction) -> Size:
        found = migrate.marks(tx.conn)
        return Size(
            schema=found.version or "",
            floor=found.floor or "",
            bytes=_bytes(tx),
            rows={one.name: _count(tx, one) for one in metadata.sorted_tables},
            oldest=_oldest(tx),
        )

    return ask


def upgrade() -> Write[bool]:
    """Let the journal be written as only programs of this release can read it.

    False when it is already. Raises StateError while a worker of an older release is there.
    """

    def apply(tx: Transaction) -> bool:
        if (migrate.marks(tx.conn).floor or "") >= migrate.HEAD:
            return False
        alive = sa.select(workers).where(workers.c.beat_at > tx.now - GONE_AFTER)
        old = [row for row in tx.execute(alive) if _is_old(row.version)]
        if old:
            listed = ", ".join(f"{row.host} {row.pid} ({row.version})" for row in old)
            raise StateError(
                what="The journal",
                problem=f"is used by workers of an older release: {listed}",
                remedy="Upgrade or stop them; one that was killed counts for ten minutes.",
            )
        migrate.raise_floor(tx.conn)
        return True

    return Write(apply, locks=("upgrade",))


def _is_old(version: str) -> bool:
    """Tell whether a release does not know the newest schema; what cannot be read counts as old."""
    try:
        return tuple(int(part) for part in version.split(".")[:2]) < SINCE
    except ValueError:
        return True


def _bytes(tx: Transaction) -> int:
    if tx.conn.dialect.name == "postgresql":
        size = sa.select(sa.func.pg_database_size(sa.func.current_database()))
        return int(tx.execute(size).scalar_one())
    pages = tx.conn.exec_driver_sql("PRAGMA page_count").scalar_one()
    return int(pages) * int(tx.conn.exec_driver_sql("PRAGMA page_size").scalar_one())


def _count(tx: Transaction, table: sa.Table) -> int:
    return int(tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _oldest(tx: Transaction) -> datetime | None:
    final = [state.value for state in RunState if state.is_final]
    first = sa.select(sa.func.min(runs.c.finished_at)).where(
        runs.c.state.in_(final), runs.c.pruned_at.is_(None)
    )
    found: datetime | None = tx.execute(first).scalar_one()
    return found
