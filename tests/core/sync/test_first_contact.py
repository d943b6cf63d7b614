"""Copies that somebody else made: adopted by proof, written to only after a person agreed."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from tests.sync_model import verdict
from tests.sync_world import TENANT, World

from quell.domain.hub import Acceptance
from quell.domain.incident import Origin, Severity, Status
from quell.journal import conflicts, sync_switches
from quell.sync import SyncPolicy

pytestmark = pytest.mark.anyio


def adopt(world: World, native_id: str, copy: str, **fields: object) -> None:
    """Let the mirror's own product make a copy."""
    record = world.mirror.add(copy, **{"title": native_id, **fields})
    record.counterpart = ("detector", native_id)
    record.proofs = frozenset({f"detector:{native_id}"})


async def test_a_copy_that_proves_its_counterpart_is_adopted(world: World) -> None:
    # given
    world.origin.add("7")
    adopt(world, "7", "m1")

    # when
    await world.sync.pass_once()

    # then
    assert world.copy_of("7") == "m1"
    assert world.hub("7").id == world.hub("m1", world.mirror).id


async def test_a_copy_that_came_first_is_adopted_when_its_origin_comes(world: World) -> None:
    # given
    adopt(world, "7", "m1")
    await world.sync.pass_once()
    before = world.hub("m1", world.mirror)

    # when
    world.origin.add("7")
    await world.sync.pass_once()

    # then
    assert world.hub("7").id == before.id
    # the copy proved nothing: what begins with the incident begins with its original
    assert [one.origin for one in world.revisions("7")] == [Origin.ADOPTION, Origin.LIVE]
    assert set(world.mirror.records) == {"m1"}


async def test_equal_numbers_without_proof_are_not_paired(world: World) -> None:
    # given
    world.origin.add("7")
    adopt(world, "7", "m1")
    world.mirror.records["m1"].proofs = frozenset({"detector:other"})

    # when
    await world.sync.pass_once()

    # then
    assert world.hub("7").id != world.hub("m1", world.mirror).id
    (conflict,) = world.journal.ask_now(conflicts.listed(TENANT))
    assert conflict.kind == "unpaired"
    assert world.revisions("7")[0].origin is Origin.BACKFILL


async def test_a_proof_that_comes_later_pairs_what_was_apart(world: World) -> None:
    # given
    world.origin.add("7")
    adopt(world, "7", "m1")
    world.mirror.records["m1"].proofs = frozenset()
    await world.sync.pass_once()

    # when
    world.mirror.records["m1"].proofs = frozenset({"detector:7"})
    world.mirror.touch(world.mirror.records["m1"])
    await world.settle()

    # then
    assert world.hub("7").id == world.hub("m1", world.mirror).id
    assert world.copy_of("7") == "m1"
    assert world.incident_ids() == [world.hub("7").id]


async def test_nothing_is_written_to_copies_that_differ_until_accepted(world: World) -> None:
    # given
    world.origin.add("7", title="origin's", severity=Severity.HIGH)
    adopt(world, "7", "m1", title="copy's", status=Status.ACTIVE)

    # when
    await world.sync.pass_once()
    world.origin.edit("7", description="changed since")
    world.origin.say("7", "said since")
    await world.settle()

    # then
    assert world.take_calls() == []
    drift = {(one.field, one.ours, one.theirs) for one in await world.sync.drift()}
    assert ("title", "origin's", "copy's") in drift
    assert ("status", "new", "active") in drift


async def test_copies_that_do_not_differ_need_no_acceptance(world: World) -> None:
    # given
    world.origin.add("7")
    adopt(world, "7", "m1")
    await world.sync.pass_once()

    # when
    world.origin.edit("7", title="new")
    await world.sync.pass_once()

    # then
    assert await world.sync.drift() == []
    assert world.mirror.fields_of("m1").title == "new"


async def test_accepting_brings_both_sides_together(world: World) -> None:
    # given
    world.origin.add("7", title="origin's", tags=frozenset({"a"}))
    adopt(
        world,
        "7",
        "m1",
        title="origin's",
        status=Status.CLOSED,
        verdict=verdict("false_positive"),
        tags=frozenset({"b"}),
    )
    await world.sync.pass_once()
    settled = {one.field: one.settled for one in await world.sync.drift()}

    # when
    accepted = await world.sync.accept(None, "ada")
    await world.settle()

    # then
    assert accepted == 1
    assert settled == {
        "status": "closed",
        "verdict": {"classification": "false_positive", "determination": "unknown"},
        "tags": ["a", "b"],
    }
    assert world.origin.fields_of("7").status is Status.CLOSED
    assert world.mirror.fields_of("m1").tags == frozenset({"a", "b"})
    assert await world.disagreements() == ()
    assert await world.sync.drift() == []
    assert world.revisions("7")[-1].origin is Origin.ADOPTION


async def test_a_named_system_wins_at_first_contact(world: World) -> None:
    # given
    world.policy = SyncPolicy(mode="replica", default="detector")
    world.sync = world.fresh_sync()
    world.origin.add("7", title="origin's")
    adopt(world, "7", "m1", title="copy's")
    await world.sync.pass_once()

    # when
    await world.sync.accept(world.mirror.source_id, "ada")
    await world.settle()

    # then
    assert world.origin.fields_of("7").title == world.mirror.fields_of("m1").title == "origin's"


async def test_accepted_writes_are_spread_over_time(world: World) -> None:
    # given
    world.policy = SyncPolicy(mode="replica", accepted_per_minute=1, default="detector")
    world.sync = world.fresh_sync()
    for number in range(3):
        world.origin.add(f"{number}", title="origin's")
        adopt(world, f"{number}", f"m{number}", title="copy's")
    await world.sync.pass_once()

    # when
    await world.sync.accept(None, "ada")
    written: list[int] = []
    for _ in range(3):
        written.append((await world.sync.apply_writes()).applied)
        world.clock.advance(minutes=1)

    # then
    assert written == [1, 1, 1]


async def test_incidents_after_acceptance_need_none_of_their_own(world: World) -> None:
    # given
    await world.sync.accept(None, "ada")
    world.origin.add("7", title="origin's", severity=Severity.HIGH)
    adopt(world, "7", "m1", title="copy's", severity=Severity.HIGH)

    # when
    await world.settle()

    # then
    assert await world.sync.drift() == []
    assert world.origin.fields_of("7").title == world.mirror.fields_of("m1").title


async def test_comments_that_both_sides_have_already_are_not_mirrored(world: World) -> None:
    # given
    world.origin.add("7")
    adopt(world, "7", "m1")
    world.origin.say("7", "the same words")
    world.mirror.say("m1", " the same\nwords ")

    # when
    await world.settle()

    # then
    assert len(world.origin.texts_of("7")) == len(world.mirror.texts_of("m1")) == 1


async def test_overlay_waits_for_the_products_own_copy(world: World) -> None:
    # given
    world.policy = SyncPolicy(mode="overlay", grace=timedelta(minutes=10))
    world.sync = world.fresh_sync()
    world.origin.add("7")

    # when
    await world.sync.pass_once()
    adopt(world, "7", "m1")
    world.clock.advance(minutes=11)
    await world.sync.apply_writes()

    # then
    assert set(world.mirror.records) == {"m1"}
    assert world.copy_of("7") == "m1"


async def test_overlay_makes_a_copy_where_none_comes(world: World) -> None:
    # given
    world.policy = SyncPolicy(mode="overlay", grace=timedelta(minutes=10))
    world.sync = world.fresh_sync()
    world.origin.add("7")

    # when
    await world.sync.pass_once()
    before = dict(world.mirror.records)
    world.clock.advance(minutes=11)
    await world.sync.pass_once()

    # then
    assert before == {}
    assert len(world.mirror.records) == 1


async def test_our_copy_gives_way_to_the_products_own(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    ours = world.copy_of("7")

    # when
    adopt(world, "7", "m1")
    await world.settle()

    # then
    assert world.copy_of("7") == "m1"
    assert world.mirror.fields_of(ours).status is Status.CLOSED
    assert any("m1" in text for text in world.mirror.texts_of(ours))
    world.origin.edit("7", title="new")
    await world.settle()
    assert world.mirror.fields_of("m1").title == "new"
    assert world.mirror.fields_of(ours).title == "7"


@pytest.mark.parametrize(("has_own_copies", "mode"), [(True, "overlay"), (False, "replica")])
async def test_auto_settles_once_after_the_first_full_read(
    world: World, has_own_copies: bool, mode: str
) -> None:
    # given
    world.policy = SyncPolicy(mode="auto")
    world.sync = world.fresh_sync()
    world.origin.add("7")
    if has_own_copies:
        adopt(world, "7", "m1")

    # when
    await world.sync.pass_once()
    adopt(world, "8", "m2")
    await world.sync.pass_once()

    # then
    settled = world.journal.ask_now(sync_switches.modes(TENANT))
    assert settled[world.mirror.source_id][0] == mode


async def test_our_copy_from_a_lost_journal_is_found_again(world: World) -> None:
    # given
    world.origin.add("7", title="t")
    world.origin.say("7", "words")
    await world.sync.pass_once()
    copy = dataclasses.replace(world.mirror.records[world.copy_of("7")])
    name = world.copy_of("7")
    copy.created_for = f"{TENANT}/origin/7"

    # when
    other = World(world.journal.__class__.open("sqlite://", clock=world.clock), world.clock)
    other.origin.records = world.origin.records
    other.mirror.records = {name: copy}
    await other.settle()

    # then
    assert set(other.mirror.records) == {name}
    (link,) = [link for link in other.hub("7").links if link.source_id == "mirror"]
    assert link.is_ours
    assert len(other.origin.texts_of("7")) == len(other.mirror.texts_of(name)) == 1
    assert link.acceptance is Acceptance.ACCEPTED
    other.journal.close()


# -- two copies where one should be --------------------------------------------------------------


@pytest.mark.parametrize("first", ["12", "15"])
async def test_of_two_copies_of_one_incident_the_older_is_kept_in_step(
    world: World, first: str
) -> None:
    # given
    world.origin.add("7")
    for name in (first, "15" if first == "12" else "12"):
        adopt(world, "7", name)

    # when
    await world.sync.pass_once()
    world.origin.edit("7", title="new")
    world.origin.say("7", "said at the origin")
    await world.settle()

    # then
    assert world.copy_of("7") == "12"
    assert world.mirror.fields_of("12").title == "new"
    assert world.mirror.fields_of("15").title == "7"
    assert world.mirror.texts_of("15") == []
    (conflict,) = world.journal.ask_now(conflicts.listed(TENANT))
    assert (conflict.kind, conflict.body["native_id"], conflict.body["chosen"]) == (
        "unpaired",
        "15",
        "12",
    )


async def test_a_copy_that_was_written_to_stays_the_one(world: World) -> None:
    # given
    world.origin.add("7")
    adopt(world, "7", "15")
    await world.sync.pass_once()
    world.origin.edit("7", title="new")
    await world.settle()

    # when
    adopt(world, "7", "12")
    world.origin.edit("7", title="newer")
    await world.settle()

    # then
    assert world.copy_of("7") == "15"
    assert world.mirror.fields_of("15").title == "newer"
    assert world.mirror.fields_of("12").title == "7"


async def test_when_the_chosen_copy_is_deleted_the_other_takes_its_place(world: World) -> None:
    # given
    world.origin.add("7")
    adopt(world, "7", "12")
    adopt(world, "7", "15")
    await world.settle()
    world.mirror.edit("15", title="differs")
    await world.settle()

    # when
    del world.mirror.records["12"]
    world.origin.edit("7", description="more")
    await world.settle()
    world.mirror.touch(world.mirror.records["15"])
    await world.settle()
    before = world.mirror.fields_of("15").title
    await world.sync.accept(None, "ada")
    await world.settle()

    # then
    assert before == "differs"
    assert world.copy_of("7") == "15"
    assert set(world.mirror.records) == {"15"}
    assert await world.disagreements() == ()


async def test_a_second_copy_that_is_proven_later_is_not_joined(world: World) -> None:
    # given
    world.origin.add("7")
    adopt(world, "7", "12")
    adopt(world, "7", "15")
    world.mirror.records["15"].proofs = frozenset()
    await world.settle()

    # when
    world.mirror.records["15"].proofs = frozenset({"detector:7"})
    world.mirror.touch(world.mirror.records["15"])
    await world.settle()
    world.origin.edit("7", title="new")
    await world.settle()

    # then
    assert world.copy_of("7") == "12"
    assert world.mirror.fields_of("15").title == "7"
    assert {one.kind for one in world.journal.ask_now(conflicts.listed(TENANT))} == {"unpaired"}


async def test_a_copy_of_ours_that_is_found_beside_the_products_own_gives_way(
    world: World,
) -> None:
    # given
    world.origin.add("7")
    adopt(world, "7", "12")
    await world.sync.pass_once()

    # when
    world.mirror.add("ours", title="7").created_for = f"{TENANT}/origin/7"
    await world.settle()

    # then
    assert world.copy_of("7") == "12"
    assert world.mirror.fields_of("ours").status is Status.CLOSED


# -- the dry run ---------------------------------------------------------------------------------


async def test_drift_tells_what_accepting_would_write_and_writes_nothing(world: World) -> None:
    # given
    world.policy = SyncPolicy(mode="replica", default="detector")
    world.sync = world.fresh_sync()
    world.origin.add("7", title="origin's")
    adopt(world, "7", "m1", title="copy's")
    world.mirror.say("m1", "said in the copy")
    await world.sync.pass_once()

    # when
    held = await world.sync.held()
    promised = [(one.source_id, one.native_id, one.kind) for one in held]
    before = world.take_calls()
    await world.sync.accept(None, "ada")
    await world.settle()

    # then
    assert before == []
    assert {one.waits_for for one in held} == {"the drift to be accepted"}
    assert held[0].what == {"title": "origin's"}
    assert sorted(promised) == [("mirror", "m1", "update"), ("origin", "7", "comment")]
    assert sorted(world.take_calls()) == ["comment", "update"]
    assert await world.sync.held() == []


async def test_a_copy_that_waits_for_the_products_own_is_in_the_dry_run(world: World) -> None:
    # given
    world.policy = SyncPolicy(mode="overlay", grace=timedelta(minutes=10))
    world.sync = world.fresh_sync()
    world.origin.add("7")

    # when
    await world.sync.pass_once()
    (held,) = await world.sync.held()

    # then
    assert (held.kind, held.source_id, held.native_id) == ("create", "mirror", "")
    assert held.what == {"created_for": f"{TENANT}/origin/7"}
    assert held.waits_for.startswith("2026-03-01T12:10")
