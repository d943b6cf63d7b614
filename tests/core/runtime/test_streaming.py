"""Streams in a process: which duties there are, what hastens what, and when a place is a replica."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.core.stream.model import TENANT, World

from quell.domain.ids import SourceId
from quell.journal import sync_switches
from quell.runtime.streaming import replica_test, stream_duties
from quell.stream import StreamPolicy

pytestmark = pytest.mark.anyio

STORE = SourceId("store")


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    yield found
    found.journal.close()


async def test_each_table_and_each_sink_is_a_duty_and_reading_hastens_sending(
    world: World,
) -> None:
    # given
    hastened: list[str] = []
    duties = {
        duty.name: duty for duty in stream_duties(world.streams(), TENANT, 60.0, hastened.append)
    }
    assert {name: duty.every for name, duty in duties.items()} == {
        "events/house/Doors": 60.0,
        "events/send/store": 5.0,
    }

    # when
    await duties["events/house/Doors"].work()
    hastened_by_nothing = list(hastened)
    world.source.open_door("a")
    world.clock.move(1)
    await duties["events/house/Doors"].work()
    await duties["events/send/store"].work()

    # then
    assert hastened_by_nothing == []
    assert hastened == ["events/send/store"]
    assert world.sink.doors == ["a"]


async def test_without_a_chosen_table_what_waits_is_still_sent(world: World) -> None:
    # given
    world.policy = StreamPolicy()

    # when
    duties = stream_duties(world.streams(), TENANT, 60.0, lambda name: None)

    # then
    assert [duty.name for duty in duties] == ["events/send/store"]


@pytest.mark.parametrize(
    ("mode", "settled", "wanted"),
    [
        ("replica", None, True),
        ("overlay", None, False),
        ("overlay", "replica", False),
        ("auto", None, False),
        ("auto", "overlay", False),
        ("auto", "replica", True),
    ],
)
async def test_a_place_is_a_replica_where_the_settings_or_what_was_found_out_say_so(
    world: World, mode: str, settled: str | None, wanted: bool
) -> None:
    # given
    if settled is not None:
        write = sync_switches.settle_mode(TENANT, STORE, settled, "as found")
        await world.journal.commit(write)

    # when
    is_replica = replica_test(world.journal, TENANT, lambda source_id: mode)

    # then
    assert await is_replica(STORE) is wanted
