"""Back-pressure: when very many runs wait, remarks and readings are held back, containment never."""

from __future__ import annotations

import asyncio

from quell.domain.ids import TenantId
from quell.journal import Journal, due

__all__ = ["HELD_BACK", "Pressure"]

#: why such a start is held; what was held for it goes on by itself when the queue is short again
HELD_BACK = "too many runs wait already (limits.queued_at_most)"
#: seconds that a count is good for: thousands of matches cost a few counts
KEPT_FOR = 1.0


class Pressure:
    """Tells whether a tenant's queue is so long that only containment is added to it."""

    def __init__(self, journal: Journal, tenant_id: TenantId, at_most: int) -> None:
        self._journal = journal
        self._tenant_id = tenant_id
        self.at_most = at_most
        self._count = 0
        self._good_until = 0.0

    async def reason(self) -> str | None:
        """Say why a start that is not urgent is held back now; None when it is not."""
        now = asyncio.get_running_loop().time()
        if now >= self._good_until:
            self._good_until = now + KEPT_FOR
            self._count = await self.waiting()
        return HELD_BACK if self._count >= self.at_most else None

    def note(self, begun: int) -> None:
        """Take in runs that were just added, until they are counted."""
        self._count += begun

    async def waiting(self) -> int:
        """Count the runs that wait for a worker, up to the bound."""
        question = due.waiting(self._tenant_id, at_most=self.at_most)
        return await self._journal.ask(question)

    async def has_room(self) -> bool:
        """Tell whether the queue is short enough to let go of what was held back."""
        return await self.waiting() < max(1, self.at_most // 2)
