"""Holding a lease while something is done: claimed, renewed beside the work, given back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta

from quell.domain.ids import TenantId, WorkerId
from quell.errors import JournalError
from quell.journal import leases
from quell.journal.database import Journal

__all__ = ["holding"]

#: a lease is renewed so many times before it would run out
RENEWALS = 4


@contextlib.asynccontextmanager
async def holding(
    journal: Journal, tenant_id: TenantId, name: str, worker: WorkerId, lasting: timedelta
) -> AsyncGenerator[int | None]:
    """Hold a lease during the block; gives its fence, or None while another worker holds it.

    A holder that dies is replaced after `lasting`; one that lives keeps it however long it works.
    """
    fence = await journal.commit(leases.claim(tenant_id, name, worker, lasting))
    if fence is None:
        yield None
        return
    renewing = asyncio.create_task(_renew(journal, tenant_id, name, worker, fence, lasting))
    try:
        yield fence
    finally:
        renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewing
        with contextlib.suppress(JournalError):  # it runs out by itself then
            await journal.commit(leases.release(tenant_id, name, worker, fence))


async def _renew(
    journal: Journal,
    tenant_id: TenantId,
    name: str,
    worker: WorkerId,
    fence: int,
    lasting: timedelta,
) -> None:
    while True:
        await asyncio.sleep(lasting.total_seconds() / RENEWALS)
        with contextlib.suppress(JournalError):
            await journal.commit(leases.renew(tenant_id, name, worker, fence, lasting))
