"""What the vendor's own connector carries is left to it for a while, and then written after all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.sync_model import ManualClock, verdict
from tests.sync_world import World

from quell.domain.hub import WriteKind, WriteState
from quell.domain.incident import Severity, Status
from quell.domain.outcome import Succeeded
from quell.errors import Throttled
from quell.journal import Journal
from quell.sync import SyncPolicy

pytestmark = pytest.mark.anyio

INTO_COPIES = frozenset({"title", "severity", "status", "owner", "verdict", "tags", "comments"})
BACK = frozenset({"status", "owner", "verdict", "comments"})


@pytest.fixture
def overlay() -> Iterator[World]:
    """Give a world where a connector made the copy of incident 7 and carries some fields."""
    clock = ManualClock()
    journal = Journal.open("sqlite://", clock=clock)
    world = World(journal, clock, SyncPolicy(mode="overlay", patience=timedelta(minutes=15)))
    world.mirror.carried, world.origin.carried = INTO_COPIES, BACK
    world.origin.add("7")
    record = world.mirror.add("copy", title="7")
    record.counterpart, record.proofs = ("detector", "7"), frozenset({"detector:7"})
    yield world
    journal.close()


@pytest.fixture
async def known(overlay: World) -> World:
    await overlay.sync.pass_once()
    overlay.take_calls()
    return overlay


async def test_a_field_that_the_connector_carries_is_not_written_while_it_may_come(
    known: World,
) -> None:
    # given
    known.origin.edit("7", severity=Severity.HIGH)
    await known.sync.pass_once()

    # when
    known.clock.advance(minutes=10)
    known.mirror.edit("copy", severity=Severity.HIGH)
    await known.sync.pass_once()
    known.clock.advance(minutes=30)
    await known.sync.pass_once()

    # then
    assert known.take_calls() == []
    assert not [write for write in known.hub("7").writes if write.is_open]


async def test_it_is_written_once_it_has_stayed_apart_for_longer_than_patience(
    known: World,
) -> None:
    # given
    known.origin.edit("7", severity=Severity.HIGH)
    await known.sync.pass_once()
    known.clock.advance(minutes=14)
    known.origin.say("7", "something else")
    await known.sync.pass_once()
    early = known.take_calls()
    planned = [write for write in known.writes("7") if write.kind is WriteKind.UPDATE]

    # when
    known.clock.advance(minutes=2)
    await known.sync.pass_once()

    # then
    assert early == []
    assert known.take_calls() == ["update"]
    assert [write.state for write in planned] == [WriteState.PLANNED]
    assert known.mirror.fields_of("copy").severity is Severity.HIGH


async def test_what_came_later_does_not_put_off_what_came_before(known: World) -> None:
    # given
    known.origin.edit("7", severity=Severity.HIGH)
    await known.sync.pass_once()
    known.clock.advance(minutes=10)
    known.origin.edit("7", title="new")
    await known.sync.pass_once()

    # when
    known.clock.advance(minutes=6)
    await known.sync.pass_once()

    # then
    assert known.mirror.fields_of("copy").severity is Severity.HIGH
    assert known.mirror.fields_of("copy").title == "7"


async def test_what_the_connector_does_not_carry_is_written_at_once(known: World) -> None:
    # given
    known.origin.edit("7", closing_comment="because", severity=Severity.HIGH)

    # when
    await known.sync.pass_once()

    # then
    assert known.mirror.fields_of("copy").closing_comment == "because"
    assert known.mirror.fields_of("copy").severity is not Severity.HIGH


async def test_a_status_from_such_a_copy_is_left_to_be_carried_back(known: World) -> None:
    # given
    known.mirror.edit("copy", status=Status.ACTIVE, severity=Severity.HIGH)

    # when
    await known.sync.pass_once()
    at_first = known.origin.fields_of("7")
    known.clock.advance(minutes=16)
    await known.sync.pass_once()

    # then
    assert at_first.severity is Severity.HIGH  # nobody else carries that one back
    assert at_first.status is Status.NEW
    assert known.origin.fields_of("7").status is Status.ACTIVE


async def test_a_playbooks_change_goes_where_the_incident_began_and_is_done_then(
    known: World,
) -> None:
    # given
    incident = known.hub("7").id

    # when
    outcome = await known.sync.desk.update(incident, {"status": "active"}, key="k", run_id=None)
    said = await known.sync.desk.comment(incident, "by a playbook", key="c", run_id=None)

    # then
    assert isinstance(outcome, Succeeded)
    assert isinstance(said, Succeeded)
    assert known.origin.fields_of("7").status is Status.ACTIVE
    assert known.mirror.fields_of("copy").status is Status.NEW
    known.clock.advance(minutes=16)
    await known.sync.pass_once()
    assert known.mirror.fields_of("copy").status is Status.ACTIVE
    assert any("by a playbook" in text for text in known.mirror.texts_of("copy"))


async def test_our_own_copies_are_written_at_once(world: World) -> None:
    # given
    world.mirror.carried = INTO_COPIES
    world.origin.add("7")
    await world.settle()
    world.origin.edit("7", severity=Severity.HIGH)

    # when
    await world.sync.pass_once()

    # then
    assert world.mirror.fields_of(world.copy_of("7")).severity is Severity.HIGH


async def test_a_comment_is_left_to_the_connector_and_known_again_by_its_words(
    known: World,
) -> None:
    # given
    known.origin.say("7", "look at this")
    await known.sync.pass_once()

    # when
    known.clock.advance(minutes=5)
    known.mirror.say("copy", "look at this")
    for _ in range(3):
        await known.sync.pass_once()
        known.clock.advance(minutes=20)

    # then
    assert known.take_calls() == []
    assert known.mirror.texts_of("copy") == ["look at this"]
    assert known.origin.texts_of("7") == ["look at this"]


async def test_a_comment_that_does_not_come_is_copied_after_patience(known: World) -> None:
    # given
    known.origin.say("7", "look at this")
    await known.sync.pass_once()

    # when
    known.clock.advance(minutes=16)
    await known.sync.pass_once()

    # then
    assert known.take_calls() == ["comment"]
    assert "look at this" in known.mirror.texts_of("copy")[0]


async def test_a_comment_that_came_just_before_the_write_is_found_by_the_last_look(
    known: World,
) -> None:
    # given
    known.origin.say("7", "look at this")
    await known.sync.pass_once()
    known.clock.advance(minutes=16)
    known.mirror.say("copy", "look at this")

    # when
    await known.sync.apply_writes()

    # then
    assert known.take_calls() == []
    assert len(known.mirror.texts_of("copy")) == 1


async def test_our_own_comment_that_the_connector_carries_is_not_taken_for_a_persons(
    known: World,
) -> None:
    # given
    await known.sync.desk.comment(known.hub("7").id, "ours", key="k", run_id=None)
    (written,) = known.origin.texts_of("7")

    # when
    known.mirror.say("copy", written)
    for _ in range(3):
        await known.sync.pass_once()
        known.clock.advance(minutes=20)

    # then
    assert known.mirror.texts_of("copy") == [written]
    assert known.origin.texts_of("7") == [written]


async def test_a_comment_that_was_copied_and_is_then_carried_home_is_not_copied_again(
    known: World,
) -> None:
    # given
    known.mirror.say("copy", "by an analyst")
    await known.sync.pass_once()
    known.clock.advance(minutes=16)
    await known.sync.pass_once()
    (copied,) = known.origin.texts_of("7")

    # when
    known.mirror.say("copy", copied)
    for _ in range(3):
        await known.sync.pass_once()
        known.clock.advance(minutes=20)

    # then
    assert known.origin.texts_of("7") == [copied]
    assert known.mirror.texts_of("copy") == ["by an analyst", copied]


async def test_words_around_a_quoted_key_are_a_persons_and_are_copied(known: World) -> None:
    # given
    await known.sync.desk.comment(known.hub("7").id, "ours", key="k", run_id=None)
    (written,) = known.origin.texts_of("7")

    # when
    known.mirror.say("copy", f"{written} is what it said, and it is wrong")
    for _ in range(3):
        await known.sync.pass_once()
        known.clock.advance(minutes=20)

    # then
    assert any("and it is wrong" in text for text in known.origin.texts_of("7"))


async def test_a_classification_that_is_carried_alone_gets_its_determination_and_is_no_news(
    known: World,
) -> None:
    # given
    known.origin.refusals["update"] = [Throttled(endpoint="PATCH", retry_after=60.0)]
    exact = {"classification": "false_positive", "determination": "not_malicious"}
    await known.sync.desk.update(known.hub("7").id, {"verdict": exact}, key="k", run_id=None)

    # when
    known.origin.edit("7", verdict=verdict("false_positive"))
    for _ in range(3):
        await known.sync.pass_once()
        known.clock.advance(minutes=20)

    # then
    wanted = verdict("false_positive", "not_malicious")
    assert known.origin.fields_of("7").verdict == wanted
    assert known.hub("7").fields.verdict == wanted


async def test_one_fresh_look_serves_all_copies_that_are_made_after_it(overlay: World) -> None:
    # given
    for number in range(10, 20):
        overlay.origin.add(str(number))
    await overlay.sync.pass_once()
    overlay.clock.advance(minutes=11)
    overlay.mirror.calls.clear()

    # when
    await overlay.sync.apply_writes()

    # then
    assert overlay.mirror.calls == ["poll", *["create"] * 10]
