"""A bounded line in which whoever is more urgent stands before whoever is less."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Line"]

ItemT = TypeVar("ItemT", bound=Hashable)


class Line(Generic[ItemT]):
    """Gives the most urgent first, and of equals the one that came first. Not for several threads.

    A lower number is more urgent. When the line is full, the least urgent leaves it, and of
    equals the one that came last; an item stands in it once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ranks: dict[int, OrderedDict[ItemT, None]] = {}
        self._rank_of: dict[ItemT, int] = {}

    def __len__(self) -> int:
        return len(self._rank_of)

    def put(self, item: ItemT, rank: int) -> ItemT | None:
        """Let an item stand in line. Gives the one that had to leave, perhaps the same."""
        known = self._rank_of.get(item)
        if known is not None and known <= rank:
            return None
        if known is not None:
            self._remove(item)  # it has become more urgent
        self._rank_of[item] = rank
        self._ranks.setdefault(rank, OrderedDict())[item] = None
        return self._drop() if len(self) > self._limit else None

    def first_rank(self) -> int | None:
        """Tell how urgent the first in line is; None when nobody waits."""
        return min(self._ranks, default=None)

    def pop(self) -> ItemT:
        """Take the first. Raises IndexError when nobody waits."""
        rank = self.first_rank()
        if rank is None:
            raise IndexError("nobody waits")
        return self._take(rank, is_last=False)

    def empty(self) -> list[ItemT]:
        """Take everybody, the first first."""
        return [self.pop() for _ in range(len(self))]

    def _drop(self) -> ItemT:
        return self._take(max(self._ranks), is_last=True)

    def _take(self, rank: int, *, is_last: bool) -> ItemT:
        item, _ = self._ranks[rank].popitem(last=is_last)
        del self._rank_of[item]
        if not self._ranks[rank]:
            del self._ranks[rank]
        return item

    def _remove(self, item: ItemT) -> None:
        rank = self._rank_of.pop(item)
        del self._ranks[rank][item]
        if not self._ranks[rank]:
            del self._ranks[rank]
