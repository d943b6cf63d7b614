"""Holding a lease while something is done: claimed, renewed beside the work, given back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta

from quell.domain.ids import TenantId, WorkerId
from quell.errors import JournalError
from quell.journal import leases
from quell.journal.database import Journal
from quell.journal.writer import Write

__all__ = ["Held", "holding"]

#: a lease is renewed so many times before it would run out
RENEWALS = 4


@dataclass(slots=True)
class Held:
    """A lease in hand. `is_lost` once another worker has taken it over: stop then, at once."""

    fence: int
    is_lost: bool = False


@contextlib.asynccontextmanager
async def holding(
    journal: Journal, tenant_id: TenantId, name: str, worker: WorkerId, lasting: timedelta
) -> AsyncGenerator[Held | None]:
    """Hold a lease during the block; gives None while another worker holds it.

    A holder that dies is replaced after `lasting`; one that lives keeps it however long it works.
    """
    fence = await journal.commit(leases.claim(tenant_id, name, worker, lasting))
    if fence is None:
        yield None
        return
    held = Held(fence)
    renew = leases.renew(tenant_id, name, worker, fence, lasting)
    renewing = asyncio.create_task(_renew(journal, renew, held, lasting))
    try:
        yield held
    finally:
        renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewing
        with contextlib.suppress(JournalError):  # it runs out by itself then
            await journal.commit(leases.release(tenant_id, name, worker, fence))


async def _renew(journal: Journal, renew: Write[bool], held: Held, lasting: timedelta) -> None:
    while not held.is_lost:
        await asyncio.sleep(lasting.total_seconds() / RENEWALS)
        with contextlib.suppress(JournalError):
            held.is_lost = not await journal.commit(renew)
