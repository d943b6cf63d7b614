"""What was really done, written down by the model products themselves: the oracle's only witness."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from quell.domain.ids import SourceId

__all__ = ["Change", "Chore", "Ledger", "Remark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A field of one copy got another value."""

    seq: int
    source_id: SourceId
    native_id: str
    field: str
    #: as the product that can hold least would show it: what two copies are compared by
    shown: str
    value: Any
    #: `person`, `copier`, `quell`, `start`
    by: str
    #: what a playbook knew when it changed it
    known: str = ""
    #: None for what only stands in the end
    at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Remark:
    """Something that somebody said, and the mark in its text that nobody else uses."""

    mark: str
    source_id: SourceId
    native_id: str
    key: str
    #: marks of what it said before it was edited
    earlier: list[str] = field(default_factory=list[str])
    #: said through the desk, on every copy
    is_ours: bool = False


@dataclass(slots=True, kw_only=True)
class Chore:
    """A task that somebody made, by its title, which nobody else uses."""

    title: str
    source_id: SourceId
    native_id: str


@dataclass(slots=True)
class Ledger:
    """Everything that happened in one sequence, in its order."""

    changes: list[Change] = field(default_factory=list[Change])
    remarks: list[Remark] = field(default_factory=list[Remark])
    chores: list[Chore] = field(default_factory=list[Chore])
    #: changes that a write went over between its read and itself, where nothing can tell
    exempt: set[int] = field(default_factory=set[int])
    #: changes back to what sync had read there last, which no product tells apart from no change
    unseen: set[int] = field(default_factory=set[int])
    #: what must never happen and did, in a sentence each
    wrongs: list[str] = field(default_factory=list[str])
    counts: Counter[str] = field(default_factory=Counter[str])
    merges: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def number(self) -> int:
        """Give the next place in the order."""
        return next(self._numbers)

    def of(self, source_id: SourceId, native_id: str, name: str) -> list[Change]:
        """List what became of one field of one copy."""
        place = (source_id, native_id, name)
        return [one for one in self.changes if (one.source_id, one.native_id, one.field) == place]
