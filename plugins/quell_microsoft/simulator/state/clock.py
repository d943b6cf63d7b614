"""The tenant's clock: runs faster than the wall clock if told to, and writes Microsoft's stamps."""

from __future__ import annotations

import functools
import heapq
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

#: Defender stores moments on a grid of 1/300 s, as SQL Server's datetime does (seen in recordings)
GRID = timedelta(microseconds=3334)
_STAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:\.(\d{1,9}))?\s*(Z|[+-]\d\d:?\d\d)?", re.ASCII
)


class SimulatedClock:
    """Tenant time: started at the wall clock's now, `scale` times as fast, can be advanced."""

    def __init__(
        self,
        scale: float = 1.0,
        *,
        start: datetime | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.scale = scale
        #: by how many seconds the services' own clock is ahead
        self.ahead: Callable[[], float] = lambda: 0.0
        self._ticks = ticks
        self._origin = ticks()
        self._start = start or datetime.now(UTC)
        self._advanced = timedelta()
        self._timers: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = count()
        #: when the timer that fires right now was due
        self._firing: datetime | None = None

    def shown(self) -> datetime:
        """Tell what the services' own clock shows, which is what they write into stamps."""
        return self.now() + timedelta(seconds=self.ahead())

    def now(self) -> datetime:
        """Tell the tenant's present moment, which delays are counted by."""
        elapsed = (self._ticks() - self._origin) * self.scale
        return self._start + timedelta(seconds=elapsed) + self._advanced

    def advance(self, seconds: float) -> None:
        """Jump ahead; timers that fall due fire at the next `settle`."""
        self._advanced += timedelta(seconds=seconds)

    def real_seconds(self, tenant_seconds: float) -> float:
        """Tell how long a client must wait on its own clock."""
        return tenant_seconds / self.scale

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something once that much tenant time has passed; counted from when a timer was due."""
        moment = (self._firing or self.now()) + timedelta(seconds=seconds)
        heapq.heappush(self._timers, (moment, next(self._order), do))

    def settle(self) -> None:
        """Fire every timer that is due, in order, also those that firing made due."""
        while self._timers and self._timers[0][0] <= self.now():
            self._firing, _, do = heapq.heappop(self._timers)
            do()
        self._firing = None


def stamp(moment: datetime) -> str:
    """Write a moment as the services do: on the grid, 7 digits, trailing zeros cut."""
    ticks = round(moment.microsecond * 3 / 10_000)
    whole = moment.replace(microsecond=0) + timedelta(seconds=ticks // 300)
    fraction = f"{round((ticks % 300) * 10_000_000 / 300):07d}".rstrip("0")
    return f"{whole:%Y-%m-%dT%H:%M:%S}{'.' + fraction if fraction else ''}Z"


def parse_stamp(text: object) -> datetime | None:
    """Read a moment with 0 to 9 fractional digits; None for what is no moment."""
    match = _STAMP.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    day, minute, second, fraction, zone = match.groups()
    micro = (fraction or "0")[:6].ljust(6, "0")
    offset = "+00:00" if zone in (None, "Z") else zone
    try:
        moment = datetime.fromisoformat(f"{day}T{minute}{second or ':00'}.{micro}{offset}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def sortable(text: object) -> tuple[str, str] | None:
    """Give a stamp's full precision in comparable form: microseconds cut ties that ticks keep."""
    return _sortable(text) if isinstance(text, str) else None


@functools.lru_cache(maxsize=1 << 18)
def _sortable(text: str) -> tuple[str, str] | None:
    moment = parse_stamp(text)
    if moment is None:
        return None
    match = _STAMP.fullmatch(text.strip())
    digits = (match.group(4) if match else None) or ""
    return moment.strftime("%Y%m%d%H%M%S"), digits.ljust(9, "0")


def later_than(previous: object, now: datetime) -> str:
    """Write `now`, moved on by one tick of the grid where it would not be later than `previous`."""
    written = stamp(now)
    before, after = sortable(previous), sortable(written)
    if before is None or after is None or after > before:
        return written
    last = parse_stamp(previous) or now
    return stamp(last + 2 * GRID) if (last - now) < timedelta(minutes=5) else written
