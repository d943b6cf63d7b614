"""Reading the Defender queue with few calls, and whatever the lists are like."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from quell.errors import BadAnswer, ConnectorError
from quell_defender import DefenderIncidents, DefenderSettings, alerts, client, reading
from quell_defender.client import IncidentClient
from quell_microsoft import GraphClient
from quell_microsoft.changes import Row, rows_of

if TYPE_CHECKING:
    from tests.plugins.conftest import Polled, SourceDesk

pytestmark = pytest.mark.anyio
LIST, ALERTS = "/v1.0/security/incidents", "/v1.0/security/alerts_v2"


@pytest.fixture
def source(desk: SourceDesk) -> DefenderIncidents:
    desk.turn(throttle_scale=0)
    (found,) = DefenderIncidents.build(desk.context)
    return found


def put(desk: SourceDesk, name: str, *, alert: bool = True) -> str:
    """Let an incident come about, with one alert."""
    incident_id = str(desk.tenant.queue.new_incident({"displayName": name}).body["id"])
    if alert:
        add_alert(desk, incident_id)
    return incident_id


def add_alert(desk: SourceDesk, incident_id: str | None, name: str = "") -> str:
    """Let an alert come about; its incident is not stamped."""
    alert_id = f"da{incident_id}{name}"
    now = desk.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    body = {"id": alert_id, "title": name, "incidentId": incident_id,
            "createdDateTime": now, "lastUpdateDateTime": now}  # fmt: skip
    desk.tenant.queue.add_alert(body, incident_id)
    return alert_id


def change(desk: SourceDesk, incident_id: str) -> None:
    """Let an analyst change an incident."""
    queue = desk.tenant.queue
    queue.change_incident(queue.incidents[incident_id], {"severity": "low"}, "analyst@x.example")


def calls(desk: SourceDesk) -> dict[str, int]:
    """Count the reading calls so far by route, sign-in left out."""
    found: dict[str, int] = {}
    for (method, route, _), count in desk.tenant.ledger.calls.items():
        if method == "GET" and "/security/" in route:
            found[route] = found.get(route, 0) + count
    return found


def news(polled: Polled) -> dict[str, list[str]]:
    """Give the changed alerts by incident."""
    return {one.native_id: [alert.id for alert in one.news] for one in polled.incidents}


# -- calls ---------------------------------------------------------------------------------------


async def test_two_hundred_changed_incidents_are_read_in_pages_and_not_one_by_one(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    names = [put(desk, str(number)) for number in range(200)]
    first = await desk.poll(source)
    before = calls(desk)
    # when: every incident and its alert change, long after
    desk.tenant.clock.advance(7200)
    for name in names:
        desk.tenant.clock.advance(0.01)  # no two of one instant, which would be read twice
        queue = desk.tenant.queue
        queue.change_alert(queue.alerts[f"da{name}"], {"severity": "high"}, "x")
    polled = await desk.poll(source, first.cursor)
    # then: four pages hold 200, but each begins with the row that ended the one before
    taken = {route: count - before.get(route, 0) for route, count in calls(desk).items()}
    assert taken[LIST] == 5
    assert {route for route, count in taken.items() if count} == {LIST, ALERTS}
    assert taken[ALERTS] == 1
    assert news(polled) == {name: [f"da{name}"] for name in names}
    assert all(one.news_since is not None for one in polled.incidents)


async def test_where_nothing_changed_one_call_is_made(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given: all that there is lies before the overlap
    for number in range(120):
        put(desk, str(number))
    desk.tenant.clock.advance(3600)
    put(desk, "last")
    first = await desk.poll(source)
    before = calls(desk)
    # when
    second = await desk.poll(source, first.cursor)
    # then
    assert second.ids == []
    assert sum(calls(desk).values()) - sum(before.values()) == 1


# -- alerts beside incidents ---------------------------------------------------------------------


async def test_an_alert_that_becomes_visible_later_than_its_incident_is_given_then(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given: the incident shows at once, its second alert does not
    made = put(desk, "one")
    desk.turn(lag_seconds=120)
    late = add_alert(desk, made, "late")
    desk.turn(lag_seconds=0)
    first = await desk.poll(source)
    assert news(first) == {made: [f"da{made}"]}
    # when: it shows, and something else gives a reason to look
    desk.tenant.clock.advance(180)
    other = put(desk, "two")
    second = await desk.poll(source, first.cursor)
    # then: once
    assert {name: set(ids) for name, ids in news(second).items()} == {
        made: {f"da{made}", late},
        other: {f"da{other}"},
    }
    change(desk, other)
    assert news(await desk.poll(source, second.cursor)).keys() == {other}


async def test_a_new_incident_without_any_alert_is_given_again_until_it_has_one(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    first = await desk.poll(source)
    made = put(desk, "one", alert=False)
    second = await desk.poll(source, first.cursor)
    assert news(second) == {made: []}
    # when
    desk.tenant.clock.advance(60)
    late = add_alert(desk, made)
    third = await desk.poll(source, second.cursor)
    # then
    assert news(third) == {made: [late]}
    assert (await desk.poll(source, third.cursor)).ids == []


async def test_an_incident_that_alerts_may_have_left_says_that_its_news_is_not_all(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    one, two = put(desk, "one"), put(desk, "two")
    first = await desk.poll(source)
    desk.tenant.clock.advance(3600)
    # when
    queue = desk.tenant.queue
    queue.move_alerts([queue.alerts[f"da{one}"]], queue.incidents[two], "x-AlertCorrelation")
    found = {each.native_id: each for each in (await desk.poll(source, first.cursor)).incidents}
    # then
    assert found[one].news_since is None
    assert found[two].news_since is not None
    assert f"da{one}" in [alert.id for alert in found[two].news]


async def test_alerts_that_found_no_room_are_to_be_read_with_their_incident(
    desk: SourceDesk, source: DefenderIncidents, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(alerts, "MOST_WAITING", 2)
    names = [put(desk, str(number)) for number in range(5)]
    # when
    found = {one.native_id: one for one in (await desk.poll(source)).incidents}
    # then
    incomplete = {name for name in names if found[name].news_since is None}
    assert len(incomplete) == 3
    assert all(found[name].news for name in set(names) - incomplete)


async def test_a_burst_of_alerts_does_not_push_out_those_of_the_next_incidents(
    desk: SourceDesk, source: DefenderIncidents, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: more alerts within a minute than may wait
    monkeypatch.setattr(reading, "STRIDE", 1)
    monkeypatch.setattr(alerts, "MOST_WAITING", 90)
    for module in (alerts, client):
        monkeypatch.setattr(module, "ALERTS_PAGE", 20)
    names: list[str] = []
    for number in range(200):
        desk.tenant.clock.advance(0.1)
        names.append(put(desk, str(number)))
    # when
    found = {one.native_id: one for one in (await desk.poll(source)).incidents}
    # then: each has its alert, and none has to be read by itself
    assert set(found) == set(names)
    assert [name for name in names if found[name].news_since is None] == []
    assert all(found[name].news for name in names)


async def test_a_reading_that_is_broken_off_owes_what_it_had_read_of_later_incidents(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given: an alert changed long before its incident was changed last, with a page between
    first = await desk.poll(source)
    early = put(desk, "early")
    for number in range(60):
        desk.tenant.clock.advance(60)
        put(desk, str(number))
    change(desk, early)
    # when: only the first page is stored
    pages = source.poll(first.cursor)
    cut = [await anext(pages)]
    await pages.aclose()
    rest = await desk.poll(source, cut[-1].cursor)
    # then
    found = {one.native_id: one for one in rest.incidents}
    assert early not in {one.native_id for one in cut[0].incidents}
    assert found[early].news_since is None


# -- lists that misbehave ------------------------------------------------------------------------


@pytest.fixture(params=["ignore_orderby", "repeat_pages", "short_pages", "clock_skew", "no_skew"])
def trouble(request: pytest.FixtureRequest, desk: SourceDesk) -> str:
    match request.param:
        case "short_pages":
            desk.turn(short_pages=3)
        case "clock_skew":
            desk.turn(clock_skew_seconds=3600)
        case "no_skew":
            desk.turn(clock_skew_seconds=-3600)
        case name:
            desk.turn(**{name: True})
    return str(request.param)


async def test_every_incident_is_given_once_with_its_alerts_whatever_the_pages_are_like(
    desk: SourceDesk, source: DefenderIncidents, trouble: str
) -> None:
    # given
    names: list[str] = []
    for number in range(70):
        desk.tenant.clock.advance(number % 3)
        names.append(put(desk, str(number)))
    # when
    polled = await desk.poll(source)
    # then
    assert sorted(polled.ids) == sorted(names), trouble
    assert news(polled) == {name: [f"da{name}"] for name in names}
    assert (await desk.poll(source, polled.cursor)).ids == []


@pytest.mark.parametrize("is_one_instant", [True, False])
async def test_pages_that_lead_back_to_themselves_lose_nothing(
    desk: SourceDesk, source: DefenderIncidents, *, is_one_instant: bool
) -> None:
    # given
    now = desk.clock.now().strftime("%Y-%m-%dT%H:%M:%S.5Z")
    names = [put(desk, str(number)) for number in range(9)]
    if is_one_instant:
        for name in names:
            desk.tenant.queue.incidents[name].body["lastUpdateDateTime"] = now
    desk.turn(stuck_pages=True, short_pages=4)
    # when
    polled = await desk.poll(source)
    # then
    assert sorted(set(polled.ids)) == sorted(names)


async def test_a_link_to_another_host_is_never_followed(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given: so many of one instant that a link has to be followed
    now = desk.clock.now().strftime("%Y-%m-%dT%H:%M:%S.5Z")
    for number in range(150):
        name = put(desk, str(number), alert=False)
        desk.tenant.queue.incidents[name].body["lastUpdateDateTime"] = now
    desk.turn(next_link_host="evil.example:443")
    # then
    with pytest.raises(ConnectorError):
        await desk.poll(source)


class Forgetful(IncidentClient):
    """The real client of a product that leaves out the id of one incident."""

    def __init__(self, graph: GraphClient, forgotten: str) -> None:
        super().__init__(graph)
        self.forgotten = forgotten

    async def pages(
        self, since: str, top: int, *, until: str | None = None
    ) -> AsyncGenerator[Row, None]:
        async with aclosing(super().pages(since, top, until=until)) as pages:
            async for page in pages:
                yield {**page, "value": [self.cut(row) for row in rows_of(page)]}

    def cut(self, row: Row) -> Row:
        return {**row, "id": None if row["id"] == self.forgotten else row["id"]}


async def test_a_row_without_an_id_is_put_aside_and_never_taken_for_an_incident(
    desk: SourceDesk,
) -> None:
    # given
    names = [put(desk, str(number)) for number in range(3)]
    client = Forgetful(desk.context.connector(GraphClient), names[1])
    source = DefenderIncidents(DefenderSettings(), desk.clock, reader=client, writer=lambda: client)
    # when
    polled = await desk.poll(source)
    # then
    assert sorted(polled.ids) == sorted({*names} - {names[1]})
    stamp = desk.tenant.queue.incidents[names[1]].body["lastUpdateDateTime"]
    assert list(polled.poison) == [f"at:{stamp}"]


async def test_an_alert_that_cannot_be_read_puts_its_incident_aside_and_no_other(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    names = [put(desk, str(number)) for number in range(6)]
    desk.turn(poison_rows=[f"da{names[2]}"])
    # when
    polled = await desk.poll(source)
    # then
    assert sorted(polled.ids) == sorted(names)
    (aside,) = polled.poison
    assert aside == names[2] or aside.startswith("2")
    assert {name for name, ids in news(polled).items() if ids} == set(names) - {names[2]}


async def test_a_partial_list_of_alerts_moves_no_cursor(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    put(desk, "one")
    desk.fail(kind="partial206", path="/alerts_v2", times=1)
    with pytest.raises(BadAnswer):
        await desk.poll(source)


# -- sweeps --------------------------------------------------------------------------------------


async def test_a_sweep_gives_what_polls_passed_by_and_alerts_without_an_incident(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given: what shows two hours late is far behind the overlap by then
    desk.turn(lag_seconds=7200)
    late = put(desk, "late")
    desk.turn(lag_seconds=0)
    early = put(desk, "early")
    desk.tenant.clock.advance(3600)
    put(desk, "later")
    first = await desk.poll(source)
    desk.tenant.clock.advance(7200)
    assert (await desk.poll(source, first.cursor)).ids == []
    loose = add_alert(desk, None, "loose")
    # when
    since = desk.clock.now() - timedelta(days=1)
    pages = [page async for page in source.sweep(since)]
    # then
    found = {one.native_id: one for page in pages for one in page.incidents}
    assert {late, early} <= found.keys()
    assert [alert.id for alert in found[late].news] == [f"da{late}"]
    assert [name for page in pages for name in page.poison] == [f"alert:{loose}"]


async def test_an_alert_without_incident_is_taken_in_as_soon_as_it_has_one(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    loose = add_alert(desk, None, "loose")
    with pytest.raises(BadAnswer):
        await source.fetch(f"alert:{loose}")
    # when
    made = put(desk, "one", alert=False)
    queue = desk.tenant.queue
    queue.move_alerts([queue.alerts[loose]], queue.incidents[made], "x")
    found = await source.fetch(f"alert:{loose}")
    # then
    assert found.native_id == made
    assert [alert.id for alert in found.alerts or ()] == [loose]


async def test_a_sweep_ends_where_it_is_told_to_and_goes_on_from_its_cursor(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    begin = desk.clock.now()
    names: list[str] = []
    for number in range(120):
        desk.tenant.clock.advance(10)
        names.append(put(desk, str(number)))
    until = desk.clock.now() + timedelta(seconds=1)
    desk.tenant.clock.advance(10)
    put(desk, "after")
    assert await source.count(begin, until) == 120
    # when: it is broken off after the first page
    pages = source.sweep(begin, until=until)
    cut = await anext(pages)
    await pages.aclose()
    rest = [page async for page in source.sweep(begin, until=until, cursor=cut.cursor)]
    # then
    given = [one.native_id for page in (cut, *rest) for one in page.incidents]
    assert set(given) == set(names)
    assert len(given) == len(names) + 1  # the row at the boundary comes twice
    assert source.reached(rest[-1].cursor) == rest[-1].incidents[-1].changed_at


async def test_a_sweep_with_an_end_leaves_alone_what_changed_later(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given: an alert of before the end, whose incident changed after it, and one without any
    begin = desk.clock.now()
    put(desk, "before")
    later = put(desk, "later")
    add_alert(desk, None, "loose")
    until = desk.clock.now() + timedelta(seconds=1)
    desk.tenant.clock.advance(10)
    change(desk, later)
    # when
    pages = [page async for page in source.sweep(begin, until=until)]
    # then
    assert later not in {one.native_id for page in pages for one in page.incidents}
    assert [page.poison for page in pages if page.poison] == []


async def test_a_list_that_cannot_be_counted_is_of_unknown_length(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    desk.fail(kind="500", path="/security/incidents", times=1)
    assert await source.count(desk.clock.now(), desk.clock.now()) is None
