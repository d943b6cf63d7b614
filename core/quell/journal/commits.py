"""Which group commits went through: kept for as long as a lost answer may be asked about."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from quell.journal.tables import commits
from quell.journal.writer import Transaction, Write

__all__ = ["prune"]

#: a commit whose answer was lost is looked up within seconds
KEPT_FOR = timedelta(hours=1)


def prune() -> Write[int]:
    """Forget old commits. Gives how many there were."""

    def apply(tx: Transaction) -> int:
        old = sa.delete(commits).where(commits.c.at < tx.now - KEPT_FOR)
        return tx.execute(old).rowcount

    return Write(apply, locks=("commits",))
