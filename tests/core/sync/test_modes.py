"""Overlay, replica and auto: which holds and why, and switching without losing or doubling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.sync.test_first_contact import adopt
from tests.sync_model import ManualClock
from tests.sync_world import TENANT, World

from quell.domain.ids import SourceId, WorkerId
from quell.domain.incident import Status
from quell.errors import NotFoundError, SettingsError
from quell.journal import Journal, sync_switches
from quell.sync import SyncPolicy

Mode = Literal["overlay", "replica"]


def automatic(world: World) -> World:
    """Let the world find out by itself."""
    world.policy = SyncPolicy(mode="auto", grace=timedelta(minutes=10))
    world.sync = world.fresh_sync()
    return world


async def switch(world: World, mode: Mode) -> int:
    """Switch the mirror."""
    return await world.sync.switch_mode(world.mirror.source_id, mode, "ada")


# -- what holds, and why -------------------------------------------------------------------------


@pytest.mark.anyio
async def test_auto_says_what_it_settled_on_and_why(world: World) -> None:
    # given
    automatic(world)
    world.origin.add("7")
    adopt(world, "7", "m1")
    (before,) = await world.sync.modes()

    # when
    await world.sync.pass_once()
    (after,) = await world.sync.modes()

    # then
    assert before.mode is None
    assert (after.source_id, after.mode, after.by) == ("mirror", "overlay", "auto")
    assert "1 incidents there were made by the product's own connector" in after.reason
    assert after.doubt == ""


@pytest.mark.anyio
async def test_auto_doubts_and_does_not_switch_when_the_evidence_turns(world: World) -> None:
    # given
    automatic(world)
    world.origin.add("7")
    await world.settle()

    # when
    world.origin.add("8")
    adopt(world, "8", "m8")
    await world.settle()
    (found,) = await world.sync.modes()

    # then
    assert (found.mode, found.by) == ("replica", "auto")
    assert found.doubt == "1 copies made by the product itself have come since"


@pytest.mark.anyio
async def test_overlay_is_doubted_when_only_quell_makes_copies(world: World) -> None:
    # given
    automatic(world)
    world.origin.add("7")
    adopt(world, "7", "m1")
    await world.settle()

    # when
    world.origin.add("8")
    await world.settle()
    (found,) = await world.sync.modes()

    # then
    assert found.mode == "overlay"
    assert "1 copies had to be made by quell" in found.doubt


@pytest.mark.anyio
async def test_a_source_may_have_a_mode_of_its_own(world: World) -> None:
    # given
    world.policy = SyncPolicy(mode="replica", modes={"mirror": "overlay"})
    world.sync = world.fresh_sync()
    world.origin.add("7")

    # when
    await world.sync.pass_once()
    (found,) = await world.sync.modes()

    # then
    assert world.mirror.records == {}
    assert (found.mode, found.by) == ("overlay", "settings")


@pytest.mark.anyio
async def test_a_mode_that_the_settings_name_is_not_switched(world: World) -> None:
    # when
    with pytest.raises(SettingsError) as caught:
        await switch(world, "overlay")

    # then
    assert "tenant.t.sync.mode" in str(caught.value)
    assert 'modes.mirror = "auto"' in caught.value.remedy
    assert world.journal.ask_now(sync_switches.modes(TENANT)) == {}


@pytest.mark.anyio
async def test_only_what_copies_are_made_in_has_a_mode(world: World) -> None:
    # given
    automatic(world)

    # when
    with pytest.raises(NotFoundError) as caught:
        await world.sync.switch_mode(SourceId("origin"), "overlay", "ada")

    # then
    assert "mirror" in caught.value.remedy


# -- switching -----------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_to_overlay_our_copies_stay_until_the_products_own_come(world: World) -> None:
    # given
    automatic(world)
    world.origin.add("7")
    await world.settle()
    ours = world.copy_of("7")

    # when
    await switch(world, "overlay")
    world.origin.edit("7", title="still in step")
    await world.settle()
    before = world.copy_of("7"), world.mirror.fields_of(ours).title
    adopt(world, "7", "m1")
    await world.settle()

    # then
    assert before == (ours, "still in step")
    assert world.copy_of("7") == "m1"
    assert world.mirror.fields_of(ours).status is Status.CLOSED


@pytest.mark.anyio
async def test_to_overlay_copies_that_are_not_made_yet_wait_anew(world: World) -> None:
    # given
    automatic(world)
    await world.settle()
    world.origin.add("7")
    await world.sync.poll(world.origin.source_id)

    # when
    world.clock.advance(minutes=9)
    await switch(world, "overlay")
    world.clock.advance(minutes=9)
    await world.sync.pass_once()
    early = dict(world.mirror.records)
    world.clock.advance(minutes=2)
    await world.sync.pass_once()

    # then
    assert early == {}
    assert len(world.mirror.records) == 1


@pytest.mark.anyio
async def test_to_replica_copies_that_waited_are_made_at_once(world: World) -> None:
    # given
    automatic(world)
    world.origin.add("7")
    adopt(world, "7", "m1")
    await world.settle()
    world.origin.add("8")
    await world.sync.pass_once()
    before = set(world.mirror.records)

    # when
    planned = await switch(world, "replica")
    await world.sync.pass_once()

    # then
    assert before == {"m1"}
    assert planned == 1
    assert world.mirror.fields_of(world.copy_of("8")).title == "8"
    assert world.copy_of("7") == "m1"


@pytest.mark.anyio
async def test_a_switch_that_broke_off_is_carried_on_by_the_next_pass(world: World) -> None:
    # given
    automatic(world)
    world.origin.add("7")
    adopt(world, "7", "m1")
    await world.settle()
    world.origin.add("8")
    await world.sync.pass_once()

    # when
    world.journal.commit_now(
        sync_switches.put_mode(
            TENANT, world.mirror.source_id, "replica", by="ada", chain=WorkerId("w")
        )
    )
    await world.fresh_sync().pass_once()

    # then
    assert world.mirror.fields_of(world.copy_of("8")).title == "8"


@pytest.mark.anyio
async def test_a_copy_deleted_by_hand_stays_deleted_through_every_switch(world: World) -> None:
    # given
    automatic(world)
    world.origin.add("7")
    await world.settle()
    del world.mirror.records[world.copy_of("7")]
    world.origin.edit("7", title="new")
    await world.settle()

    # when
    await switch(world, "overlay")
    await world.settle()
    await switch(world, "replica")
    await world.settle()

    # then
    assert world.mirror.records == {}


@pytest.mark.anyio
async def test_the_settings_may_switch_too(world: World) -> None:
    # given
    world.policy = SyncPolicy(mode="overlay", grace=timedelta(hours=1))
    world.sync = world.fresh_sync()
    world.origin.add("7")
    await world.sync.pass_once()
    before = dict(world.mirror.records)

    # when
    world.policy = SyncPolicy(mode="replica")
    world.sync = world.fresh_sync()
    await world.sync.pass_once()

    # then
    assert before == {}
    assert len(world.mirror.records) == 1


# -- at any point --------------------------------------------------------------------------------

NUMBERS = ("1", "2", "3")
MOVES = st.sampled_from(
    ["overlay", "replica", "add", "adopt", "edit", "poll", "write", "pass", "later", "restart"]
)


class Moves:
    """One walk through a small world."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def make(self, move: str, number: str) -> None:
        """Make one move."""
        world = self.world
        if move in {"overlay", "replica"}:
            await world.sync.switch_mode(
                world.mirror.source_id, "overlay" if move == "overlay" else "replica", "ada"
            )
        elif move in {"poll", "write", "pass"}:
            await self._sync(move)
        else:
            self._happen(move, number)

    async def _sync(self, move: str) -> None:
        world = self.world
        if move == "poll":
            await world.sync.poll(world.origin.source_id)
            await world.sync.poll(world.mirror.source_id)
        elif move == "write":
            await world.sync.apply_writes()
        else:
            await world.sync.pass_once()

    def _happen(self, move: str, number: str) -> None:
        world = self.world
        steps: dict[str, Callable[[], object]] = {
            "add": lambda: number in world.origin.records or world.origin.add(number),
            "adopt": lambda: self._adopted(number),
            "edit": lambda: self._edited(number),
            "later": lambda: world.clock.advance(minutes=6),
            "restart": lambda: setattr(world, "sync", world.fresh_sync()),
        }
        steps[move]()

    def _edited(self, number: str) -> None:
        if number in self.world.origin.records:
            self.world.origin.edit(number, title="edited")

    def _adopted(self, number: str) -> None:
        if number in self.world.origin.records and f"m{number}" not in self.world.mirror.records:
            adopt(self.world, number, f"m{number}")

    def check(self) -> None:
        """Each incident has exactly one copy that takes part, and what was retired is closed."""
        for number in self.world.origin.records:
            live = self.world.copy_of(number)
            theirs = f"m{number}"
            assert theirs not in self.world.mirror.records or live == theirs
        made = [one for one in self.world.mirror.records.values() if one.created_for]
        assert len({one.created_for for one in made}) == len(made)
        for name, record in self.world.mirror.records.items():
            is_live = any(self.world.copy_of(one) == name for one in self.world.origin.records)
            assert is_live or record.native["status"] == "closed"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(MOVES, st.sampled_from(NUMBERS)), max_size=14))
def test_switching_at_any_point_loses_and_doubles_nothing(moves: list[tuple[str, str]]) -> None:
    async def walk() -> None:
        # given
        clock = ManualClock()
        journal = Journal.open("sqlite://", clock=clock)
        world = automatic(World(journal, clock))
        try:
            # when
            walked = Moves(world)
            for move, number in moves:
                await walked.make(move, number)
            await world.sync.accept(None, "ada")
            await world.settle()
            await world.settle()

            # then
            walked.check()
            assert await world.disagreements() == ()
        finally:
            journal.close()

    asyncio.run(walk())
