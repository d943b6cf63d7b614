"""Reading a Sentinel workspace with few calls, and whatever its lists are like."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from quell.domain.ports import Detail
from quell.errors import AnswerNotFound, BadAnswer, ServerFailure
from quell_sentinel import SentinelIncidents

if TYPE_CHECKING:
    from tests.plugins.conftest import SourceDesk

    from quell_microsoft.simulator.state.workspaces import SentinelIncident

pytestmark = pytest.mark.anyio


@pytest.fixture
def source(desk: SourceDesk) -> SentinelIncidents:
    desk.turn(throttle_scale=0)
    (found,) = SentinelIncidents.build(desk.context)
    return found


def put(desk: SourceDesk, name: str) -> SentinelIncident:
    """Let an incident come about in the workspace."""
    fields = {"title": name, "severity": "Medium", "status": "New"}
    return desk.tenant.workspaces[0].create(name, fields, by="analyst")


def put_many(desk: SourceDesk, count: int, seconds: float = 7.0) -> list[str]:
    """Let incidents come about, some time apart."""
    names: list[str] = []
    for number in range(count):
        desk.tenant.clock.advance(seconds)
        there = len(desk.tenant.workspaces[0].incidents)
        names.append(put(desk, f"n{there}-{number}").name)
    return names


def calls(desk: SourceDesk) -> int:
    """Count the calls to the workspace so far."""
    found = desk.tenant.ledger.calls.items()
    return sum(count for (_, route, _), count in found if "SecurityInsights" in route)


@pytest.mark.parametrize("places", [{0}, {3}, {6}, {2, 3}, {0, 4, 6}])
async def test_incidents_that_no_page_can_hold_are_put_aside_and_all_others_are_read(
    desk: SourceDesk, source: SentinelIncidents, places: set[int]
) -> None:
    # given
    names = put_many(desk, 7)
    bad = {names[place] for place in places}
    desk.turn(poison_rows=sorted(bad))
    # when
    polled = await desk.poll(source)
    # then
    assert set(polled.ids) == set(names) - bad
    assert len(polled.poison) == len(bad)
    assert all(name.startswith("at:") for name in polled.poison)


async def test_a_place_that_is_known_to_be_bad_is_stepped_over_in_few_calls(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given
    names = put_many(desk, 5)
    desk.turn(poison_rows=[names[4]])
    first = await desk.poll(source)
    before = calls(desk)
    # when
    later = put_many(desk, 1)
    second = await desk.poll(source, first.cursor)
    # then
    assert second.ids == later
    assert (len(first.poison), len(second.poison)) == (1, 0)
    assert calls(desk) - before == 2


async def test_what_was_put_aside_is_read_as_soon_as_it_can_be(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given
    names = put_many(desk, 3)
    desk.turn(poison_rows=[names[1]])
    (aside,) = (await desk.poll(source)).poison
    with pytest.raises(ServerFailure):
        await source.fetch(aside)
    # when
    desk.turn(poison_rows=[])
    found = await source.fetch(aside)
    # then
    assert found.native_id == names[1]
    desk.tenant.workspaces[0].touch(desk.tenant.workspaces[0].incidents[names[1]], by="x")
    with pytest.raises(AnswerNotFound):
        await source.fetch(aside)


async def test_an_outage_is_passed_on_and_nothing_is_put_aside(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    put_many(desk, 3)
    desk.fail(kind="503", path="/incidents", times=None)
    with pytest.raises(ServerFailure):
        await desk.poll(source)


async def test_a_partial_list_moves_no_cursor(desk: SourceDesk, source: SentinelIncidents) -> None:
    put_many(desk, 3)
    desk.fail(kind="partial206", path="/incidents$", times=None)
    with pytest.raises(BadAnswer):
        await desk.poll(source)


@pytest.mark.parametrize(
    "knobs",
    [
        {"ignore_orderby": True},
        {"repeat_pages": True},
        {"short_pages": 3},
        {"clock_skew_seconds": 3600},
        {"clock_skew_seconds": -3600},
    ],
    ids=str,
)
async def test_every_incident_is_given_once_whatever_the_pages_are_like(
    desk: SourceDesk, source: SentinelIncidents, knobs: dict[str, float]
) -> None:
    # given
    desk.turn(**knobs)
    names = put_many(desk, 10, 0.5) + [put(desk, f"same{number}").name for number in range(10)]
    # when
    polled = await desk.poll(source)
    # then
    assert sorted(polled.ids) == sorted(names)
    assert (await desk.poll(source, polled.cursor)).ids == []


async def test_only_the_parts_that_are_asked_for_are_fetched(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given
    made = put(desk, "one")
    await source.comment(made.name, "seen", "key")
    (listed,) = (await desk.poll(source)).incidents
    before = calls(desk)
    # when
    found = await source.fetch_details(listed, [Detail.COMMENTS])
    # then
    assert [comment.text for comment in found.comments or ()] == ["seen"]
    assert found.alerts is None
    assert (found.etag, found.native) == (listed.etag, listed.native)
    assert calls(desk) - before == 1


async def test_a_sweep_reads_a_time_gone_by_and_ends_where_it_is_told_to(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given
    early = put_many(desk, 3)
    begin = desk.clock.now() + timedelta(seconds=1)
    names = put_many(desk, 5)
    until = desk.clock.now() + timedelta(seconds=1)
    late = put_many(desk, 1)
    # when
    pages = [page async for page in source.sweep(begin, until=until)]
    # then
    given = [one.native_id for page in pages for one in page.incidents]
    assert given == names
    assert not set(given) & {*early, *late}
    assert source.reached(pages[-1].cursor) == pages[-1].incidents[-1].changed_at
