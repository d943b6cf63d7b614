"""Workers of this host that died without a word: what they held is free at once.

Only for a journal of one host: elsewhere a lease that runs out is the one sure sign.
"""

from __future__ import annotations

import os

import structlog

from quell.domain.ids import WorkerId
from quell.journal import Journal, workers

__all__ = ["bury_the_dead"]

logger = structlog.get_logger(__name__)


async def bury_the_dead(journal: Journal, worker: WorkerId, host: str) -> list[WorkerId]:
    """Strike off workers whose process is gone, so that their runs go on now. Gives which."""
    buried: list[WorkerId] = []
    for row in await journal.ask(workers.listed()):
        if row.host == host and row.id != worker and _is_dead(row.pid):
            await journal.commit(workers.bury(row.id))
            logger.warning("Worker %s died; its runs go on", row.id, event_name="worker_buried")
            buried.append(row.id)
    return buried


def _is_dead(pid: int) -> bool:
    if pid == os.getpid():
        return True  # this process has its number now, as the first one in a container always has
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # it lives and belongs to somebody else
    return False  # it, or another that has its number now: the lease decides
