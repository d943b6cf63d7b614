"""Plays a sequence from its numbers, and finds the shortest part of it that still goes wrong."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

from tests.soak.acts import Act, Scene, draw_scene, draw_script
from tests.soak.oracle import judge
from tests.soak.stage import Stage
from tests.sync_model import ManualClock

from quell.journal import Journal

__all__ = ["Result", "Shelf", "drawn", "play", "play_numbered", "repeatable", "shortened"]


@dataclass(slots=True, kw_only=True)
class Result:
    """What a sequence came to."""

    wrongs: list[str] = field(default_factory=list[str])
    counts: Counter[str] = field(default_factory=Counter[str])


@contextmanager
def repeatable(seed: int) -> Generator[None]:
    """Let ids that are drawn be the same each time: orders that depend on them repeat."""
    chance = random.Random(seed)
    with patch.object(uuid, "uuid4", lambda: uuid.UUID(int=chance.getrandbits(128), version=4)):
        yield


class Shelf:
    """One journal for some sequences, each a tenant of its own: opening a journal is slow."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._journal: Journal | None = None
        self._clock = ManualClock()
        self._used = 0

    def take(self) -> tuple[Journal, ManualClock]:
        """Give a journal that has room for one more."""
        if self._journal is None or self._used >= self._most:
            self.close()
            self._journal = Journal.open("sqlite://", clock=self._clock)
        self._used += 1
        return self._journal, self._clock

    def close(self) -> None:
        """Put the journal away."""
        if self._journal is not None:
            self._journal.close()
        self._journal, self._used = None, 0


def play(
    scene: Scene, script: Sequence[Act], *, number: int = 0, shelf: Shelf | None = None
) -> Result:
    """Play one sequence as a tenant named by its number, in a journal of its own or a shared one."""
    used = shelf or Shelf(1)
    journal, clock = used.take()
    try:
        with repeatable(number):
            return asyncio.run(_play(Stage(journal, clock, f"t{number}", scene), script))
    finally:
        if shelf is None:
            used.close()


async def _play(stage: Stage, script: Sequence[Act]) -> Result:
    try:
        await stage.begin()
        for act in script:
            await stage.play(act)
        wrongs = await judge(stage)
    except Exception as error:  # noqa: BLE001 # whatever sync raises is what is looked for
        wrongs = [f"{type(error).__name__}: {error}"]
    return Result(wrongs=wrongs, counts=stage.ledger.counts)


def drawn(seed: int, number: int, edits: int) -> tuple[Scene, list[Act]]:
    """Draw a sequence by its numbers."""
    chance = random.Random(f"{seed}/{number}")
    return draw_scene(chance, edits), draw_script(chance, edits)


#: one for each process
_shelf = Shelf(20)


def play_numbered(seed: int, number: int, edits: int) -> Result:
    """Play the sequence of a seed and a number."""
    scene, script = drawn(seed, number, edits)
    return play(scene, script, number=number, shelf=_shelf)


def shortened(
    script: Sequence[Act], is_wrong: Callable[[Sequence[Act]], bool], *, tries: int = 300
) -> list[Act]:
    """Leave out what is not needed for a sequence to go wrong."""
    left, size = list(script), len(script) // 2
    while size and tries:
        start = 0
        while start < len(left) and tries:
            tries -= 1
            shorter = left[:start] + left[start + size :]
            if is_wrong(shorter):
                left = shorter
            else:
                start += size
        size //= 2
    return left
