"""Looks at a whole source before copies are made there; one look serves all that are made soon after."""

from __future__ import annotations

import asyncio
import inspect
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

from quell.domain.ids import SourceId
from quell.journal import Journal

__all__ = ["Looks"]

#: how long ago a look may have begun that still counts as fresh
FRESH = timedelta(seconds=30)


class Looks:
    """The fresh looks of one tenant's writer."""

    def __init__(self, journal: Journal, look: Callable[[SourceId], object]) -> None:
        self._journal = journal
        self._look = look
        self._begun: dict[SourceId, datetime] = {}
        self._turns: defaultdict[SourceId, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def fresh(self, source_id: SourceId) -> None:
        """Make sure that what is in a source by now is known. Raises ConnectorError."""
        async with self._turns[source_id]:
            now = await self._journal.ask(lambda tx: tx.now)
            begun = self._begun.get(source_id)
            if begun is not None and now - begun < FRESH:
                return
            looking = self._look(source_id)
            if inspect.isawaitable(looking):
                await looking
            self._begun[source_id] = now
