"""Dies at every journal write, and around every call that writes, then goes on elsewhere.

Whatever the moment, the products end up the same, with no copy and no comment doubled.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import pytest
from tests.sync_model import ManualClock, ModelSource
from tests.sync_world import TENANT, World

from quell.domain.incident import Alert, Severity, Status
from quell.journal import Journal, Question, Write, incident_writes

pytestmark = pytest.mark.anyio

T = TypeVar("T")


class Died(BaseException):
    """The process is gone. No `except` of the program may catch it."""


class MortalJournal:
    """A journal whose process dies at its nth write, before or after the database has it."""

    def __init__(self, journal: Journal, *, at: int, is_after: bool) -> None:
        self._journal = journal
        self._at = at
        self._is_after = is_after
        self.writes = 0
        self.is_dead = False

    async def commit(self, write: Write[T]) -> T:
        self.writes += 1
        is_last = self.writes == self._at
        if self.is_dead or (is_last and not self._is_after):
            self.is_dead = True
            raise Died
        result = await self._journal.commit(write)
        if is_last:
            self.is_dead = True
            raise Died
        return result

    async def ask(self, question: Question[T]) -> T:
        return await self._journal.ask(question)


def prepare(world: World) -> None:
    """Let people do things on both sides of what is in step so far."""
    copy = world.copy_of("1")
    world.origin.edit("1", title="new title", severity=Severity.HIGH, tags=frozenset({"o"}))
    world.mirror.edit(copy, status=Status.ACTIVE, tags=frozenset({"m"}))
    world.origin.say("1", "said at the origin")
    world.mirror.say(copy, "said at the copy " * 80)
    world.origin.raise_alert("1", Alert(id="alert-9", title="late"))
    world.origin.add("3", title="a new one")
    world.origin.merge("2", "1")


def begin() -> World:
    clock = ManualClock()
    world = World(Journal.open("sqlite://", clock=clock), clock)
    world.origin.add("1")
    world.origin.say("1", "first words")
    world.origin.add("2", tags=frozenset({"of2"}))
    world.origin.say("2", "on the loser")
    return world


def outcome(world: World) -> dict[str, Any]:
    """Give everything that the two products say, without times, keys and order."""
    return {source.source_id: _said(source) for source in (world.origin, world.mirror)}


def _said(source: ModelSource) -> dict[str, Any]:
    return {
        native_id: (
            sorted((name, str(value)) for name, value in record.native.items()),
            sorted(_words(comment.text) for comment in record.comments),
        )
        for native_id, record in source.records.items()
    }


def _words(text: str) -> str:
    plain = re.sub(r"\[quell \w+\] ", "", text)
    return re.sub(r", \d{4}-\d\d-\d\d [\d:]+ UTC", "", plain)


async def live(world: World, mortal: MortalJournal | None) -> None:
    """Run passes until nothing is left to do, or until the process dies."""
    if mortal is None:
        world.sync = world.fresh_sync()
    else:
        world.sync = world.fresh_sync(mortal)  # type: ignore[arg-type] # a journal but for its death
    try:
        await world.settle()
    except BaseExceptionGroup as group:
        if group.split(Died)[1] is not None:
            raise
    except Died:
        pass


async def finish(world: World) -> dict[str, Any]:
    """Go on as another process does, once the dead one's leases have run out."""
    for source in (world.origin, world.mirror):
        source.witness = lambda moment: None
    world.clock.advance(minutes=5)
    await live(world, None)
    assert await world.disagreements() == ()
    assert not await world.journal.ask(incident_writes.has_open(TENANT))
    assert (await world.sync.pass_once()).applied == 0
    return outcome(world)


async def undisturbed(*, is_first: bool) -> tuple[dict[str, Any], int, int]:
    """Tell how it ends when nobody dies, after how many journal writes and moments of calls."""
    world = begin()
    if not is_first:
        await live(world, None)
        prepare(world)
    moments: list[str] = []
    for source in (world.origin, world.mirror):
        source.witness = moments.append
    counting = MortalJournal(world.journal, at=0, is_after=False)
    await live(world, counting)
    said = await finish(world)
    world.journal.close()
    return said, counting.writes, len(moments)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("is_after", [True, False])
async def test_dying_at_any_journal_write_changes_nothing_in_the_end(
    is_first: bool, is_after: bool
) -> None:
    # given
    expected, writes, _ = await undisturbed(is_first=is_first)
    assert writes > 10

    for at in range(1, writes + 1):
        world = begin()
        if not is_first:
            await live(world, None)
            prepare(world)

        # when
        mortal = MortalJournal(world.journal, at=at, is_after=is_after)
        await live(world, mortal)

        # then
        assert mortal.is_dead
        assert await finish(world) == expected, f"died at write {at} of {writes}"
        world.journal.close()


@pytest.mark.parametrize("is_first", [True, False])
async def test_dying_around_any_writing_call_changes_nothing_in_the_end(is_first: bool) -> None:
    # given
    expected, _, moments = await undisturbed(is_first=is_first)
    assert moments >= 6

    for at in range(1, moments + 1):
        world = begin()
        if not is_first:
            await live(world, None)
            prepare(world)
        mortal = MortalJournal(world.journal, at=0, is_after=False)
        passed = 0

        def die(moment: str, at: int = at, mortal: MortalJournal = mortal) -> None:
            nonlocal passed
            passed += 1
            if passed == at:
                mortal.is_dead = True
                raise Died

        for source in (world.origin, world.mirror):
            source.witness = die

        # when
        await live(world, mortal)

        # then
        assert mortal.is_dead
        assert await finish(world) == expected, f"died at moment {at} of {moments}"
        world.journal.close()
