"""Two or three sides change one field at once: who wins, what is on record, and that it ends."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sync_model import Mirror, ModelSource
from tests.sync_world import TENANT, World

from quell.domain.ids import WorkerId
from quell.domain.incident import Severity, Status
from quell.journal import conflicts
from quell.journal.conflicts import ConflictRow
from quell.sync import Sync, SyncPolicy
from quell.sync.sides import Part

pytestmark = pytest.mark.anyio


def on_record(world: World) -> list[ConflictRow]:
    return world.journal.ask_now(conflicts.listed(TENANT))


def with_policy(world: World, **policy: Any) -> None:
    world.policy = SyncPolicy(mode="replica", **policy)
    world.sync = world.fresh_sync()


async def test_a_record_names_values_shadows_authors_times_and_the_winner(world: World) -> None:
    # given
    world.origin.add("7", title="before")
    await world.settle()
    copy = world.copy_of("7")

    # when
    world.origin.edit("7", title="origin's")
    world.mirror.edit(copy, title="copy's")
    await world.settle()

    # then
    (conflict,) = on_record(world)
    sides = {side["source"]: side for side in conflict.body["sides"]}
    assert (conflict.body["won"], conflict.body["value"]) == ("mirror", "copy's")
    assert {name: side["value"] for name, side in sides.items()} == {
        "origin": "origin's",
        "mirror": "copy's",
    }
    assert sides["mirror"]["shadow"] == "before"
    assert {side["by"] for side in sides.values()} == {"somebody"}
    assert all(side["since"] for side in sides.values())


async def test_what_was_first_seen_later_wins_whatever_its_stamp_says(world: World) -> None:
    # given
    world.origin.add("7", title="before")
    await world.settle()
    copy = world.copy_of("7")

    # when: the copy's change is older, and seen after the origin's
    world.mirror.edit(copy, title="copy's")
    world.origin.edit("7", title="origin's")
    await world.sync.poll(world.origin.source_id)
    await world.sync.poll(world.mirror.source_id)
    await world.settle()

    # then
    assert world.origin.fields_of("7").title == world.mirror.fields_of(copy).title == "copy's"


@pytest.mark.parametrize(("winner", "title"), [("detector", "origin's"), ("mirror", "copy's")])
@pytest.mark.parametrize("order", [("origin", "mirror"), ("mirror", "origin")])
async def test_a_named_side_wins_in_whatever_order_both_are_seen(
    world: World, winner: str, title: str, order: tuple[str, str]
) -> None:
    # given
    with_policy(world, fields={"title": winner})
    world.origin.add("7", title="before")
    await world.settle()
    copy = world.copy_of("7")

    # when
    world.origin.edit("7", title="origin's")
    world.mirror.edit(copy, title="copy's")
    for name in order:
        source = world.origin if name == "origin" else world.mirror
        await world.sync.poll(source.source_id)
    await world.settle()

    # then
    assert world.origin.fields_of("7").title == world.mirror.fields_of(copy).title == title
    assert [one.field for one in on_record(world)] == ["title"]


async def test_after_a_conflict_everything_is_quiet(world: World) -> None:
    # given
    world.origin.add("7")
    await world.settle()
    copy = world.copy_of("7")
    world.origin.edit("7", title="origin's", status=Status.ACTIVE)
    world.mirror.edit(copy, title="copy's", status=Status.CLOSED)
    await world.settle()
    count = len(on_record(world))
    world.take_calls()

    # when
    for _ in range(3):
        world.origin.touch(world.origin.records["7"])
        world.mirror.touch(world.mirror.records[copy])
        world.clock.advance(minutes=10)
        await world.sync.pass_once()

    # then
    assert world.take_calls() == []
    assert len(on_record(world)) == count == 2


async def test_three_sides_come_to_one_value_and_both_losers_are_on_record(world: World) -> None:
    # given
    second = Mirror(world.clock, "second")
    parts: list[tuple[ModelSource, Part]] = [
        (world.origin, "detects"),
        (world.mirror, "mirrors"),
        (second, "mirrors"),
    ]
    world.sync = Sync(
        journal=world.journal,
        tenant_id=TENANT,
        sources=parts,
        policy=world.policy,
        clock=world.clock,
        worker=WorkerId("three"),
        wake=lambda: None,
        hmac_key=b"0123456789abcdef",
    )
    world.origin.add("7", severity=Severity.LOW)
    await world.settle()
    (other,) = second.records

    # when
    world.origin.edit("7", severity=Severity.MEDIUM)
    world.mirror.edit(world.copy_of("7"), severity=Severity.HIGH)
    second.edit(other, severity=Severity.INFORMATIONAL)
    await world.settle()

    # then
    found = {
        world.origin.fields_of("7").severity,
        world.mirror.fields_of(world.copy_of("7")).severity,
        second.fields_of(other).severity,
    }
    assert len(found) == 1
    lost = {"medium", "high", "informational"} - {str(one) for one in found}
    told = {side["value"] for one in on_record(world) for side in one.body["sides"]}
    assert lost <= told
    world.take_calls()
    second.calls.clear()
    await world.sync.pass_once()
    assert [*world.take_calls(), *(one for one in second.calls if one == "update")] == []


def their_copy(world: World, **fields: Any) -> None:
    """Let the product make a copy of incident 7 that differs in some fields."""
    copy = world.mirror.add("theirs")
    copy.counterpart = ("detector", "7")
    copy.proofs = world.origin.records["7"].proofs
    copy.native.update(world.mirror.to_native(world.origin.fields_of("7")))
    world.mirror.edit("theirs", **fields)


async def test_what_a_person_accepts_at_first_contact_is_on_record_as_settled(
    world: World,
) -> None:
    # given
    world.origin.add("7", title="ours", description="only here")
    their_copy(world, title="theirs", description=None)
    await world.settle()

    # when
    await world.sync.accept(None, "ada")
    await world.settle()

    # then: what nobody had said was not lost
    found = {one.field: one for one in on_record(world)}
    conflict = found.pop("title")
    assert conflict.kind == "first_contact"
    assert {side["value"] for side in conflict.body["sides"]} == {"ours", "theirs"}
    assert (conflict.settled_by, conflict.settled_at is not None) == ("ada", True)
    # and what may have been emptied is known
    assert {name: one.settled_by for name, one in found.items()} == {"description": "ada"}


async def test_what_is_settled_at_once_at_a_later_meeting_is_on_record_and_open(
    world: World,
) -> None:
    # given: the source was accepted before
    await world.sync.pass_once()
    await world.sync.accept(None, "ada")
    world.clock.advance(minutes=5)

    # when
    world.origin.add("7", title="ours")
    await world.sync.poll(world.origin.source_id)
    their_copy(world, title="theirs")
    await world.sync.poll(world.mirror.source_id)

    # then
    kinds = [(one.kind, one.field, one.settled_at) for one in on_record(world)]
    assert kinds == [("first_contact", "title", None)]


async def test_open_ones_are_listed_before_settled_ones(world: World) -> None:
    # given
    world.origin.add("7")
    await world.settle()
    for name in ("first", "second"):
        world.origin.edit("7", title=f"{name} origin")
        world.mirror.edit(world.copy_of("7"), title=f"{name} copy")
        await world.settle()
    newest = on_record(world)[0]

    # when
    world.journal.commit_now(conflicts.settle(TENANT, newest.id, "ada"))

    # then
    assert [one.settled_by for one in on_record(world)] == [None, "ada"]
    still_open = world.journal.ask_now(conflicts.listed(TENANT, is_open=True))
    assert [one.id for one in still_open] != [newest.id]
    assert len(still_open) == 1


async def test_a_thousand_tags_on_both_sides_come_together(world: World) -> None:
    # given
    world.origin.add("7", tags=frozenset(f"o{number}" for number in range(1000)))
    await world.settle()
    copy = world.copy_of("7")

    # when
    kept = frozenset(f"o{number}" for number in range(500, 1000))
    world.origin.edit("7", tags=kept)
    world.mirror.edit(copy, tags=world.mirror.fields_of(copy).tags | {"<b>new</b>", "a\u202eb"})
    await world.settle()

    # then
    assert world.origin.fields_of("7").tags == world.mirror.fields_of(copy).tags
    assert kept < world.origin.fields_of("7").tags
    assert len(world.origin.fields_of("7").tags) == 502
    assert (await world.sync.pass_once()).applied == 0


async def test_markup_and_control_characters_in_a_comment_stay_text_and_are_told_once(
    world: World,
) -> None:
    # given
    world.origin.add("7")
    await world.settle()
    copy = world.copy_of("7")

    # when
    world.mirror.say(copy, "<img src=x onerror=alert(1)>\x00\x1b[31m {{ incident.title }}\u202e")
    await world.settle()
    await world.settle()

    # then
    (told,) = world.origin.texts_of("7")
    assert "<img src=x onerror=alert(1)>" in told
    assert "{{ incident.title }}" in told
    assert not {"\x00", "\x1b", "\u202e"} & set(told)
