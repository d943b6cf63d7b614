"""Sweeps, backfills, and what is put aside: reading beside the polls loses and doubles nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
from tests.sync_model import START, Detector, Mirror
from tests.sync_world import TENANT, World

from quell.domain.ids import SourceId
from quell.domain.incident import Alert, Origin, Severity
from quell.domain.ports import ObservedIncident, PolledPage
from quell.errors import BadAnswer, ServerFailure, StateError, Unreachable
from quell.journal import alerts, cursors, notices
from quell.sync import BackfillProgress
from quell.sync.reading.backfill import backfill_name
from quell.sync.reading.sweep import sweep_name

pytestmark = pytest.mark.anyio
ORIGIN = SourceId("origin")
FAILS = ServerFailure(endpoint="GET model", status=500)


class Lister(Detector):
    """A detector whose list brings comments, and the alerts that changed."""

    since = START - timedelta(days=30)
    #: given with the next page of a poll or a sweep
    poison: dict[str, str]

    def observed(self, native_id: str, *, is_whole: bool = True) -> ObservedIncident:
        seen = super().observed(native_id)
        if is_whole or seen.alerts is None:
            return seen
        return msgspec.structs.replace(seen, alerts=None, news=seen.alerts, news_since=self.since)

    async def poll(self, cursor: str | None) -> AsyncIterator[PolledPage]:
        async for page in super().poll(cursor):
            aside, self.poison = self.poison, {}
            yield PolledPage(incidents=page.incidents, cursor=page.cursor, poison=aside)


@pytest.fixture
def lister(world: World) -> Lister:
    """Let the world's origin be a lister."""
    found = Lister(world.clock, "origin")
    found.poison = {}
    world.origin = found
    world.sync = world.fresh_sync()
    return found


# -- few calls -----------------------------------------------------------------------------------


async def test_incidents_that_come_with_their_alerts_are_not_fetched_one_by_one(
    world: World, lister: Lister
) -> None:
    # given
    for name in ("1", "2", "3", "4"):
        lister.add(name)
        lister.raise_alert(name, Alert(id=f"a{name}", title="a"))
    # when
    await world.sync.poll(ORIGIN)
    for name in ("1", "2", "3", "4"):
        lister.edit(name, severity=Severity.HIGH)
        lister.raise_alert(name, Alert(id=f"b{name}", title="b"))
    await world.sync.poll(ORIGIN)
    # then
    assert "fetch" not in lister.calls
    stored = world.journal.ask_now(alerts.of(TENANT, world.hub("3").id))
    assert [alert.id for alert in stored] == ["a3", "b3"]


async def test_an_incident_that_began_before_its_list_of_alerts_is_fetched_once(
    world: World, lister: Lister
) -> None:
    # given
    lister.add("1")
    lister.raise_alert("1", Alert(id="a", title="a"))
    world.clock.advance(hours=2)
    lister.since = world.clock.now()
    # when
    await world.sync.poll(ORIGIN)
    lister.edit("1", severity=Severity.HIGH)
    await world.sync.poll(ORIGIN)
    # then
    assert lister.calls.count("fetch") == 1


# -- put aside -----------------------------------------------------------------------------------


async def test_what_is_put_aside_is_told_of_once_and_tried_again_by_a_schedule_of_its_own(
    world: World, lister: Lister
) -> None:
    # given
    lister.add("1")
    lister.poisoned["1"] = FAILS
    reports: list[dict[str, str]] = []
    # when: every poll of an hour meets it again
    for _ in range(60):
        lister.poison = {"1": "it cannot be read"}
        reports.append((await world.sync.poll(ORIGIN)).parked)
        world.clock.advance(minutes=1)
    # then
    assert [report for report in reports if report] == [{"1": "it cannot be read"}]
    (item,) = world.journal.ask_now(cursors.listed_items(TENANT))
    assert item.tries == 4  # after 1, 6 and 36 minutes
    told = [
        one for one in world.journal.ask_now(notices.listed(TENANT)) if one.notice.kind == "parked"
    ]
    assert len(told) == 1


async def test_what_is_put_aside_is_stored_as_far_as_it_was_read_and_whole_later(
    world: World, lister: Lister
) -> None:
    # given
    lister.add("1")
    lister.raise_alert("1", Alert(id="a", title="a"))
    lister.poisoned["1"] = FAILS
    lister.poison = {"1": "its alerts cannot be read"}
    await world.sync.poll(ORIGIN)
    assert world.hub("1").fields.title == "1"
    # when
    lister.poisoned.clear()
    world.clock.advance(minutes=2)
    await world.sync.poll(ORIGIN)
    # then
    assert lister.calls.count("fetch") == 1
    assert world.journal.ask_now(cursors.listed_items(TENANT)) == []


# -- sweeps --------------------------------------------------------------------------------------


async def test_a_sweep_takes_in_what_a_poll_passed_by(world: World) -> None:
    # given: an incident that shows up with a stamp long gone by
    world.origin.add("1")
    await world.sync.pass_once()
    late = world.origin.add("late", severity=Severity.HIGH)
    late.created = late.changed = world.clock.now() - timedelta(hours=5)
    await world.sync.pass_once()
    assert "late" not in {link.native_id for link in world.hub("1").links}
    with pytest.raises(AssertionError):
        world.hub("late")
    # when
    report = await world.sync.sweep(ORIGIN)
    # then
    assert (report.incidents, report.revisions) == (2, 1)
    assert world.revisions("late")[0].origin is Origin.LIVE
    assert (await world.sync.sweep(ORIGIN)).revisions == 0


class Counter(Mirror):
    """A mirror whose list tells counts."""

    def observed(self, native_id: str, *, is_whole: bool = True) -> ObservedIncident:
        record = self.records[native_id]
        seen = super().observed(native_id, is_whole=is_whole)
        return msgspec.structs.replace(
            seen, alert_count=len(record.alerts), comment_count=len(record.comments)
        )


async def test_a_sweep_finds_an_edited_comment_that_another_change_hid_from_the_polls(
    world: World,
) -> None:
    # given: both are in step, and one sweep has been
    world.mirror = Counter(world.clock, "mirror")
    world.sync = world.fresh_sync()
    world.origin.add("1")
    await world.sync.pass_once()
    copy = world.copy_of("1")
    world.mirror.say(copy, "first")
    await world.sync.pass_once()
    await world.sync.sweep(SourceId("mirror"))
    # when: a comment is edited and the incident renamed in one go
    record = world.mirror.records[copy]
    (index,) = [at for at, one in enumerate(record.comments) if one.text == "first"]
    record.comments[index] = msgspec.structs.replace(record.comments[index], text="second")
    world.mirror.edit(copy, title="renamed")
    await world.sync.pass_once()
    polled = world.origin.texts_of("1")
    await world.sync.sweep(SourceId("mirror"))
    await world.sync.pass_once()
    # then
    assert not any("second" in text for text in polled)
    assert any("second" in text for text in world.origin.texts_of("1"))


async def test_a_sweep_is_due_after_its_interval_and_not_before(world: World) -> None:
    # given
    assert await world.sync.sweep_if_due(ORIGIN) is None
    await world.sync.pass_once()
    assert await world.sync.sweep_if_due(ORIGIN) is None
    # when
    world.clock.advance(hours=5)
    early = await world.sync.sweep_if_due(ORIGIN)
    world.clock.advance(hours=2)
    first = await world.sync.sweep_if_due(ORIGIN)
    again = await world.sync.sweep_if_due(ORIGIN)
    # then
    assert early is None
    assert first is not None
    assert again is None


async def test_a_sweep_that_fails_is_on_record_and_moves_no_cursor_of_the_polls(
    world: World,
) -> None:
    # given
    world.origin.add("1")
    await world.sync.pass_once()
    before = world.journal.ask_now(cursors.get(TENANT, ORIGIN))
    world.origin.refusals["sweep"] = [Unreachable(endpoint="GET model")]
    # when
    with pytest.raises(Unreachable):
        await world.sync.sweep(ORIGIN)
    # then
    assert world.journal.ask_now(cursors.get(TENANT, ORIGIN)) == before
    assert world.journal.ask_now(cursors.get(TENANT, sweep_name(ORIGIN))).error


async def test_a_source_that_is_never_to_be_swept_is_not(world: World) -> None:
    world.origin.sweep_every = 0
    await world.sync.pass_once()
    for _ in range(3):
        world.clock.advance(days=2)
        assert await world.sync.sweep_if_due(ORIGIN) is None


# -- backfills -----------------------------------------------------------------------------------


def add_past(world: World, count: int) -> None:
    """Let incidents be there that the polls' look-back does not reach."""
    for number in range(count):
        record = world.origin.add(f"old{number}")
        record.created = record.changed = START - timedelta(days=60, minutes=number)


async def test_a_backfill_takes_in_the_past_and_starts_nothing(world: World) -> None:
    # given
    await world.sync.pass_once()
    add_past(world, 8)
    # when
    report = await world.sync.backfill(ORIGIN, START - timedelta(days=90))
    # then
    assert (report.incidents, report.revisions) == (8, 8)
    assert {world.revisions(f"old{number}")[0].origin for number in range(8)} == {Origin.BACKFILL}


async def test_a_backfill_leaves_what_is_new_to_the_polls_where_it_is_live(world: World) -> None:
    # given
    world.origin.add("1")
    await world.sync.pass_once()
    add_past(world, 2)
    world.clock.advance(minutes=5)
    world.origin.add("new")
    # when
    await world.sync.backfill(ORIGIN, START - timedelta(days=90))
    await world.sync.pass_once()
    # then
    assert world.revisions("new")[0].origin is Origin.LIVE
    assert world.revisions("old1")[0].origin is Origin.BACKFILL


async def test_a_backfill_that_was_stopped_goes_on_where_it_was(world: World) -> None:
    # given: it breaks off after its first page
    await world.sync.pass_once()
    add_past(world, 8)
    since = START - timedelta(days=90)
    seen: list[BackfillProgress] = []

    def stop(state: BackfillProgress) -> None:
        seen.append(state)
        if state.read:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await world.sync.backfill(ORIGIN, since, watch=stop)
    # when: another process is asked for the same, a little later
    world.clock.advance(minutes=3)
    again = world.fresh_sync()
    report = await again.backfill(ORIGIN, since + timedelta(minutes=3), watch=seen.append)
    # then: the page at the boundary comes twice, the ones before it do not
    assert (seen[0].read, seen[1].read) == (0, 3)
    assert seen[2].read == 3
    assert report.incidents < 8
    assert seen[-1].total == 8
    for number in range(8):
        assert len(world.revisions(f"old{number}")) == 1


async def test_two_backfills_of_one_source_do_not_get_in_each_other_s_way(world: World) -> None:
    # given
    await world.sync.pass_once()
    add_past(world, 8)
    since = START - timedelta(days=90)

    def overtake(state: BackfillProgress) -> None:
        if state.read == 3:
            move = cursors.move_to(TENANT, backfill_name(ORIGIN), 2, "another's")
            world.journal.commit_now(move)

    # when
    with pytest.raises(StateError):
        await world.sync.backfill(ORIGIN, since, watch=overtake)
    # then
    assert world.hub("old7").revision == 1


# -- status --------------------------------------------------------------------------------------


async def test_a_source_that_has_been_quiet_for_long_is_not_behind(world: World) -> None:
    # given: its newest incident is hours old, and a poll has just come to its end
    world.origin.add("1")
    world.clock.advance(hours=5)
    await world.sync.poll(ORIGIN)
    world.clock.advance(seconds=30)
    # when
    origin, _ = await world.sync.status()
    # then
    assert origin.lag == origin.since_success
    assert (origin.lag or 0) < 60


async def test_the_status_says_how_far_a_source_was_read_and_what_waits(world: World) -> None:
    # given
    world.origin.add("1")
    world.origin.add("2")
    world.origin.poisoned["2"] = BadAnswer(endpoint="GET model", problem="nonsense")
    await world.sync.poll(ORIGIN)
    world.clock.advance(seconds=90)
    # when
    origin, mirror = await world.sync.status()
    # then
    assert origin.read_up_to == world.origin.records["2"].changed
    assert 90 <= (origin.lag or 0) < 95
    assert 90 <= (origin.since_success or 0) < 95
    assert [item.native_id for item in origin.parked] == ["2"]
    assert not origin.is_good
    assert (mirror.mode, mirror.read_up_to, mirror.succeeded_at) == ("replica", None, None)
    assert mirror.planned_writes == 1
