"""What happened to the tenant: every call counted, every accepted write written down."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from quell_microsoft.simulator.wire import Json

from .clock import SimulatedClock, stamp


@dataclass(slots=True)
class Ledger:
    """Counts calls by route and status, and keeps the accepted writes in order."""

    clock: SimulatedClock
    calls: Counter[tuple[str, str, int]] = field(default_factory=Counter[tuple[str, str, int]])
    writes: list[Json] = field(default_factory=list[Json])

    def count(self, method: str, template: str, status: int) -> None:
        """Count one answered call."""
        self.calls[method, template, status] += 1

    def record(self, *, app: str, method: str, path: str, body: Any, status: int) -> None:
        """Write down one accepted write, as it was sent."""
        entry = {
            "number": len(self.writes) + 1,
            "time": stamp(self.clock.shown()),
            "app": app,
            "method": method,
            "path": path,
            "body": body,
            "status": status,
        }
        self.writes.append(entry)

    def calls_as_json(self) -> list[Json]:
        """List the counters, one row per method, route and status."""
        return [
            {"method": method, "route": template, "status": status, "count": count}
            for (method, template, status), count in sorted(self.calls.items())
        ]
