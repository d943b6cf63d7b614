"""The clock of a process: used for waiting and for deadlines; the journal has its own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

__all__ = ["SystemClock"]


class SystemClock:
    """Time as the operating system tells it."""

    def now(self) -> datetime:
        """Tell the time."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)
