"""What follows from alerts: first and last activity, tactics, products; and who is told of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sync_model import START

from quell.domain.incident import Alert, IncidentFields
from quell.domain.playbook import IncidentEvent
from quell.sync.derive import derived, due_derived, joined, worth_telling
from quell.sync.sides import Sides

if TYPE_CHECKING:
    from tests.sync_world import World

MOMENTS = st.none() | st.integers(0, 10_000).map(lambda minutes: START + timedelta(minutes=minutes))
ALERTS = st.builds(
    Alert,
    id=st.text(max_size=3),
    product=st.sampled_from(["", "endpoint", "identity"]),
    first_activity=MOMENTS,
    last_activity=MOMENTS,
    tactics=st.frozensets(st.sampled_from(["impact", "discovery", "execution"])),
)


@given(st.lists(ALERTS), st.lists(ALERTS))
def test_alerts_that_come_bit_by_bit_say_the_same_as_all_at_once(
    some: list[Alert], more: list[Alert]
) -> None:
    bit_by_bit = derived(derived(IncidentFields(), some), more)
    assert bit_by_bit == derived(IncidentFields(), [*some, *more])
    assert bit_by_bit == joined(derived(IncidentFields(), some), derived(IncidentFields(), more))
    assert derived(bit_by_bit, some) == bit_by_bit


@given(st.lists(ALERTS, min_size=1), st.lists(ALERTS))
def test_a_whole_list_forgets_what_only_other_alerts_said(
    whole: list[Alert], others: list[Alert]
) -> None:
    before = derived(IncidentFields(title="t"), others)
    assert derived(before, whole, is_whole=True) == derived(IncidentFields(title="t"), whole)


def test_no_alerts_say_nothing() -> None:
    fields = IncidentFields(tactics=frozenset({"impact"}), first_activity=START)
    assert derived(fields, [], is_whole=True) == fields


def test_that_an_alert_goes_on_is_no_revision_by_itself() -> None:
    assert worth_telling({"last_activity": [1, 2]}) == {}
    assert worth_telling({"last_activity": [1, 2], "tactics": [[], ["impact"]]})


def alert(last: datetime, *, name: str = "a", tactic: str = "execution") -> Alert:
    return Alert(
        id=name,
        title="Something ran",
        product="endpoint",
        first_activity=START,
        last_activity=last,
        tactics=frozenset({tactic}),
    )


def copied(world: World, native_id: str) -> IncidentFields:
    return world.mirror.fields_of(world.copy_of(native_id))


@pytest.mark.anyio
async def test_our_copy_is_told_when_it_began_and_playbooks_see_it(world: World) -> None:
    # given
    world.mirror.writable |= {"first_activity", "last_activity"}
    world.origin.add("1", title="one")
    world.origin.raise_alert("1", alert(START + timedelta(hours=2)))
    # when
    await world.settle()
    # then
    fields = world.hub("1").fields
    assert fields.first_activity == copied(world, "1").first_activity == START
    assert fields.last_activity == copied(world, "1").last_activity == START + timedelta(hours=2)
    assert fields.tactics == {"execution"}
    assert fields.products == {"endpoint"}
    (told,) = [text for text in world.mirror.texts_of(world.copy_of("1")) if "Something" in text]
    assert "tactics: execution" in told


@pytest.mark.anyio
async def test_a_little_later_is_written_along_and_much_later_by_itself(world: World) -> None:
    # given
    world.mirror.writable |= {"first_activity", "last_activity"}
    world.origin.add("1", title="one")
    world.origin.raise_alert("1", alert(START + timedelta(hours=2)))
    await world.settle()
    before = len(world.revisions("1"))
    # when: the alert goes on for some minutes
    record = world.origin.records["1"]
    record.alerts = [alert(START + timedelta(hours=2, minutes=30))]
    world.origin.touch(record)
    world.take_calls()
    await world.settle()
    # then
    assert world.take_calls().count("update") == 0
    assert copied(world, "1").last_activity == START + timedelta(hours=2)
    assert len(world.revisions("1")) == before
    # when: something else is written
    world.origin.edit("1", title="another")
    await world.settle()
    # then
    assert world.take_calls().count("update") == 1
    assert copied(world, "1").last_activity == START + timedelta(hours=2, minutes=30)
    # when: it goes on for hours
    record.alerts = [alert(START + timedelta(hours=9))]
    world.origin.touch(record)
    await world.settle()
    # then
    assert world.take_calls().count("update") == 1
    assert copied(world, "1").last_activity == START + timedelta(hours=9)


@pytest.mark.anyio
async def test_a_new_tactic_is_a_revision(world: World) -> None:
    # given
    world.origin.add("1", title="one")
    world.origin.raise_alert("1", alert(START))
    await world.settle()
    # when
    world.origin.raise_alert("1", alert(START, name="b", tactic="impact"))
    await world.settle()
    # then
    last = world.revisions("1")[-1]
    assert last.changes["tactics"] == [["execution"], ["execution", "impact"]]
    assert IncidentEvent.UPDATED in last.events


@pytest.mark.anyio
async def test_a_merge_gives_the_winner_what_followed_from_both(world: World) -> None:
    # given
    world.origin.add("1", title="one")
    world.origin.add("2", title="two")
    world.origin.raise_alert("1", alert(START + timedelta(hours=1)))
    world.origin.raise_alert("2", alert(START + timedelta(hours=5), name="b", tactic="impact"))
    await world.settle()
    # when
    world.origin.merge("2", "1")
    await world.settle()
    # then
    fields = world.hub("1").fields
    assert fields.tactics == {"execution", "impact"}
    assert fields.last_activity == START + timedelta(hours=5)


@pytest.mark.anyio
async def test_what_followed_from_an_alert_goes_with_it(world: World) -> None:
    # given
    world.origin.add("1", title="one")
    world.origin.raise_alert("1", alert(START))
    world.origin.raise_alert("1", alert(START + timedelta(hours=5), name="b", tactic="impact"))
    await world.settle()
    # when: the product takes one of them away
    record = world.origin.records["1"]
    record.alerts = record.alerts[:1]
    world.origin.touch(record)
    await world.settle()
    # then
    assert world.hub("1").fields.tactics == {"execution"}
    assert world.hub("1").fields.last_activity == START


@pytest.mark.anyio
async def test_only_our_own_copies_are_told_when_it_was(world: World) -> None:
    # given
    world.mirror.writable |= {"first_activity", "last_activity"}
    world.origin.add("1", title="one")
    world.origin.raise_alert("1", alert(START + timedelta(hours=2)))
    await world.settle()
    hub = world.hub("1")
    (ours,) = [link for link in hub.links if link.source_id == world.mirror.source_id]
    sides = Sides([(world.origin, "detects"), (world.mirror, "mirrors")])
    later = hub.fields.replace({"last_activity": START + timedelta(hours=9)})
    hub = hub.replace(fields=later)
    # when / then
    theirs = msgspec.structs.replace(ours, is_ours=False)
    assert due_derived(hub, ours, sides, rides_along=True).keys() == {"last_activity"}
    assert due_derived(hub, theirs, sides, rides_along=True) == {}
    ignored = frozenset({"last_activity"})
    assert due_derived(hub, ours, sides, rides_along=True, ignored=ignored) == {}
