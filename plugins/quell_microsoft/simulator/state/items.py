"""What is in Defender's queue: an incident or an alert, and the versions that lists show of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from quell_microsoft.simulator.wire import Json


@dataclass(slots=True, kw_only=True)
class Seen:
    """A body and the earlier versions that lists still show while changes are on their way."""

    body: Json
    released: bool = True
    #: (visible from, version), oldest first; empty when lists show `body`
    pending: list[tuple[datetime, Json]] = field(default_factory=list[tuple[datetime, Json]])
    #: what lists show until the first pending version; None while the item is not visible at all
    shown: Json | None = None

    def visible(self, now: datetime) -> Json | None:
        """Give the version that a list shows at a moment; None when it shows none yet."""
        while self.pending and self.pending[0][0] <= now:
            self.shown = self.pending.pop(0)[1]
        return self.shown if self.pending else self.body


@dataclass(slots=True, kw_only=True)
class Alert(Seen):
    """An alert and the incident that it belongs to now."""

    incident_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Who last gave a field its value; edits are numbered through the whole queue."""

    number: int
    by: str
    at: str


@dataclass(slots=True, kw_only=True)
class Incident(Seen):
    """An incident; its alerts are found through the queue."""

    #: the last edit of each field that was changed since the incident came to be
    edits: dict[str, Edit] = field(default_factory=dict[str, Edit])
