"""How few calls a write takes, and what becomes of one whose copy never holds still."""

from __future__ import annotations

import msgspec
import pytest
from tests.sync_model import ModelSource
from tests.sync_world import TENANT, World

from quell.domain.hub import Step, WriteState
from quell.domain.incident import Severity, Status
from quell.errors import WriteConflict
from quell.journal import conflicts, hubs, incident_writes, notices

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pair(world: World) -> World:
    """Give a world with one incident and its copy."""
    world.mirror.tells_counts = True
    world.origin.add("7")
    await world.settle()
    world.take_calls()
    return world


def calls_of(source: ModelSource) -> list[str]:
    """List a source's calls but for polls, and forget them."""
    made = [call for call in source.calls if call != "poll"]
    source.calls.clear()
    return made


async def test_a_changed_copy_with_a_version_costs_one_call(pair: World) -> None:
    # given
    pair.origin.edit("7", severity=Severity.HIGH, title="new", tags=frozenset({"t"}))
    calls_of(pair.mirror)

    # when
    await pair.settle()

    # then
    assert calls_of(pair.mirror) == ["update"]
    assert pair.mirror.fields_of(pair.copy_of("7")).severity is Severity.HIGH
    assert await pair.disagreements() == ()


async def test_a_product_without_versions_is_read_before_it_is_written_to(pair: World) -> None:
    # given
    pair.mirror.edit(pair.copy_of("7"), severity=Severity.HIGH)
    calls_of(pair.origin)

    # when
    await pair.sync.poll(pair.mirror.source_id)
    await pair.sync.apply_writes()

    # then
    assert calls_of(pair.origin) == ["fetch", "update"]


async def test_a_comment_costs_one_call_on_either_side(pair: World) -> None:
    # given
    pair.origin.say("7", "from the origin")
    pair.mirror.say(pair.copy_of("7"), "from the copy")
    for source in (pair.origin, pair.mirror):
        await pair.sync.poll(source.source_id)
        calls_of(source)

    # when
    await pair.sync.apply_writes()

    # then
    assert calls_of(pair.origin) == ["comment"]
    assert calls_of(pair.mirror) == ["comment"]


async def test_a_copy_is_looked_at_after_a_comment_gave_it_a_version_that_we_do_not_know(
    pair: World,
) -> None:
    # given
    incident = pair.hub("7").id
    await pair.sync.desk.comment(incident, "a word", key="k", run_id=None)
    calls_of(pair.mirror)

    # when
    await pair.sync.desk.update(incident, {"severity": "high"}, key="k2", run_id=None)

    # then
    assert calls_of(pair.mirror) == ["fetch", "update"]


async def test_fields_are_written_before_comments(pair: World) -> None:
    # given
    pair.origin.say("7", "a word")
    pair.origin.edit("7", severity=Severity.HIGH)
    await pair.sync.poll(pair.origin.source_id)
    calls_of(pair.mirror)

    # when
    await pair.sync.apply_writes()

    # then
    assert calls_of(pair.mirror) == ["update", "comment"]


async def test_a_stale_version_costs_one_look_and_nobody_loses(pair: World) -> None:
    # given
    copy = pair.copy_of("7")
    pair.origin.edit("7", severity=Severity.HIGH)
    await pair.sync.poll(pair.origin.source_id)
    pair.mirror.edit(copy, title="meanwhile")
    calls_of(pair.mirror)

    # when
    report = await pair.sync.apply_writes()

    # then
    assert calls_of(pair.mirror) == ["update", "fetch", "update"]
    assert report.problems == ()
    await pair.settle()
    assert pair.mirror.fields_of(copy).title == pair.origin.fields_of("7").title == "meanwhile"
    assert pair.mirror.fields_of(copy).severity is Severity.HIGH


async def test_what_a_version_guarded_is_no_possible_overwrite(pair: World) -> None:
    # given
    copy = pair.copy_of("7")
    pair.origin.edit("7", severity=Severity.HIGH)
    await pair.sync.poll(pair.origin.source_id)
    native = pair.mirror.records[copy].native
    # the product itself tidies up what it is sent
    pair.mirror.meanwhile.append(lambda: native.update(closing_comment="tidied"))

    # when
    await pair.settle()

    # then
    assert pair.journal.ask_now(conflicts.listed(TENANT)) == []
    assert pair.origin.fields_of("7").closing_comment == "tidied"


async def test_changes_that_wait_together_are_one_write(pair: World) -> None:
    # given
    pair.origin.edit("7", severity=Severity.HIGH)
    await pair.sync.poll(pair.origin.source_id)
    pair.origin.edit("7", title="later")
    await pair.sync.poll(pair.origin.source_id)

    # when
    await pair.sync.apply_writes()

    # then
    assert calls_of(pair.mirror).count("update") == 1
    applied = [one for one in pair.writes("7") if one.state is WriteState.APPLIED]
    assert set(applied[-1].intended) == {"severity", "title"}


async def test_a_version_that_never_settles_is_given_up_parked_and_told_of_once(
    pair: World,
) -> None:
    # given
    conflict = WriteConflict(endpoint="PUT model", status=409)
    pair.mirror.refusals["update"] = [conflict] * 100
    pair.origin.edit("7", severity=Severity.HIGH)

    # when
    for _ in range(30):
        await pair.sync.pass_once()
        pair.clock.advance(minutes=20)

    # then
    (parked,) = pair.journal.ask_now(incident_writes.parked(TENANT))
    assert "8 tries" in parked.error
    assert "quell sync retry" in parked.error
    assert len(pair.mirror.refusals["update"]) == 92
    told = [one.notice for one in pair.journal.ask_now(notices.unsent(TENANT))]
    assert [one.kind for one in told] == ["parked"]
    assert pair.mirror.fields_of(pair.copy_of("7")).severity is not Severity.HIGH


async def test_a_parked_write_that_is_retried_begins_anew(pair: World) -> None:
    # given
    conflict = WriteConflict(endpoint="PUT model", status=409)
    pair.mirror.refusals["update"] = [conflict] * 10
    pair.origin.edit("7", severity=Severity.HIGH)
    for _ in range(12):
        await pair.sync.pass_once()
        pair.clock.advance(minutes=20)
    (parked,) = pair.journal.ask_now(incident_writes.parked(TENANT))

    # when
    assert await pair.journal.commit(incident_writes.retry(TENANT, parked.id))
    await pair.settle()

    # then
    assert pair.mirror.fields_of(pair.copy_of("7")).severity is Severity.HIGH
    assert pair.journal.ask_now(incident_writes.parked(TENANT)) == []


async def test_a_write_that_an_earlier_worker_may_have_sent_is_looked_for_first(
    pair: World,
) -> None:
    # given
    pair.origin.edit("7", status=Status.ACTIVE)
    await pair.sync.poll(pair.origin.source_id)
    hub = pair.hub("7")
    (write,) = [one for one in hub.writes if one.is_open]
    sent = msgspec.structs.replace(write, state=WriteState.SENDING)
    force = hubs.change(TENANT, hub.id, lambda hub, now: Step(hub=hub.with_write(sent)))
    await pair.journal.commit(force)
    calls_of(pair.mirror)

    # when
    await pair.settle()

    # then
    assert calls_of(pair.mirror)[:2] == ["fetch", "update"]
    assert pair.mirror.fields_of(pair.copy_of("7")).status is Status.ACTIVE


async def test_what_was_said_before_a_stale_write_is_not_missed(pair: World) -> None:
    # given
    copy = pair.copy_of("7")
    pair.origin.edit("7", severity=Severity.HIGH)
    await pair.sync.poll(pair.origin.source_id)
    pair.mirror.say(copy, "just before")

    # when
    await pair.sync.apply_writes()
    await pair.settle()

    # then
    assert any("just before" in text for text in pair.origin.texts_of("7"))


async def test_an_edit_before_a_stale_write_is_not_missed(pair: World) -> None:
    # given
    copy = pair.copy_of("7")
    pair.mirror.say(copy, "one thing")
    await pair.settle()
    pair.origin.edit("7", severity=Severity.HIGH)
    await pair.sync.poll(pair.origin.source_id)
    record = pair.mirror.records[copy]
    at = next(n for n, one in enumerate(record.comments) if one.text == "one thing")
    record.comments[at] = msgspec.structs.replace(record.comments[at], text="another thing")
    pair.mirror.touch(record)

    # when
    await pair.sync.apply_writes()
    await pair.settle()

    # then
    assert any("another thing" in text for text in pair.origin.texts_of("7"))


async def test_what_happens_around_a_write_without_versions_is_not_missed(pair: World) -> None:
    # given
    pair.mirror.edit(pair.copy_of("7"), severity=Severity.HIGH)
    await pair.sync.poll(pair.mirror.source_id)
    pair.origin.say("7", "before the look")
    pair.origin.meanwhile.append(lambda: pair.origin.say("7", "after the look"))

    # when
    await pair.sync.apply_writes()
    await pair.settle()

    # then
    whole = "\n".join(pair.mirror.texts_of(pair.copy_of("7")))
    assert "before the look" in whole
    assert "after the look" in whole
