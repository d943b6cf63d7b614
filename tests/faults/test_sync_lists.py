"""Lists that misbehave: whatever order, page or place they come in, every incident is copied once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fault_ground import Ground

from quell.domain.ids import SourceId
from quell.journal import cursors

DEFENDER = SourceId("defender")
STAMP = "2026-01-05T10:00:00.1234567Z"


def edit_copies(ground: Ground, **properties: Any) -> None:
    """Let an analyst change every copy."""
    for copy in ground.copies:
        copy.properties.update(properties)
        ground.tenant.workspaces[0].touch(copy, by="analyst")


def stamped_alike(ground: Ground, count: int) -> list[Any]:
    """Let so many incidents be, all of which changed in one instant."""
    found = [ground.detect(f"incident {number}", alerts=0) for number in range(count)]
    for one in found:
        one.body["lastUpdateDateTime"] = STAMP
    return found


@pytest.mark.parametrize(
    "knobs",
    [
        {"ignore_orderby": True},
        {"repeat_pages": True},
        {"ignore_orderby": True, "repeat_pages": True, "short_pages": 7},
    ],
    ids=lambda knobs: "-".join(knobs),
)
def test_pages_in_any_order_and_twice_lose_and_double_nothing(
    ground: Ground, knobs: dict[str, Any]
) -> None:
    # given
    for number in range(60):
        ground.detect(f"incident {number}", alerts=0)
    ground.turn(**knobs)
    with ground.runtime() as runtime:
        # when
        ground.check_nothing_is_lost(runtime)
        edit_copies(ground, severity="Low")
        ground.detect("a later one")
        # then
        ground.check_nothing_is_lost(runtime)
    assert len(ground.copies) == 61
    incidents = ground.tenant.queue.incidents.values()
    assert [one.body["severity"] for one in incidents].count("low") == 60
    assert ground.quell("sync", "status").code == 0


def test_two_hundred_incidents_of_one_instant_are_all_copied_once(ground: Ground) -> None:
    # given
    ground.turn(short_pages=50)
    originals = stamped_alike(ground, 200)
    with ground.runtime() as runtime:
        ground.check_nothing_is_lost(runtime)
        # when: all of the copies change in one instant as well
        for copy in ground.copies:
            copy.properties["status"] = "Active"
            ground.tenant.workspaces[0].touch(copy, by="analyst")
        later = max(copy.properties["lastModifiedTimeUtc"] for copy in ground.copies)
        for copy in ground.copies:
            copy.properties["lastModifiedTimeUtc"] = later
        # then
        ground.check_nothing_is_lost(runtime)
    assert {one.body["status"] for one in originals} == {"inProgress"}
    assert len(ground.copies) == 200


def test_pages_that_lead_to_themselves_are_read_around_row_by_row(ground: Ground) -> None:
    # given
    ground.turn(stuck_pages=True, short_pages=10)
    stamped_alike(ground, 30)
    with ground.runtime() as runtime:
        # when
        ground.settle(runtime)
        # then: no page leads on, and yet each row has its place
        assert len({copy.properties["title"] for copy in ground.copies}) == 30
        ground.turn(stuck_pages=False)
        ground.check_nothing_is_lost(runtime)


def test_pages_that_lead_nowhere_end_the_poll_with_a_line_and_move_no_cursor(
    ground: Ground,
) -> None:
    # given
    with ground.runtime() as runtime:
        ground.settle(runtime)
        before = runtime.journal.ask_now(cursors.get(runtime.tenant().id, DEFENDER))
        for number in range(120):
            ground.detect(f"incident {number}", alerts=0)
        later = max(one.body["lastUpdateDateTime"] for one in ground.tenant.queue.released())
        for one in ground.tenant.queue.released():
            one.body["lastUpdateDateTime"] = later
        # when: more of one instant than are read row by row
        ground.turn(stuck_pages=True, short_pages=10)
        report = ground.pass_once(runtime)
        # then
        (problem,) = [one for one in report.problems if one.startswith("defender: ")]
        assert "its pages lead back to themselves" in problem
        after = runtime.journal.ask_now(cursors.get(runtime.tenant().id, DEFENDER))
        assert after.cursor == before.cursor
        # and when
        ground.turn(stuck_pages=False)
        ground.check_nothing_is_lost(runtime)
    assert len(ground.copies) == 120


def test_a_next_link_to_another_host_is_not_followed_and_gets_no_token(ground: Ground) -> None:
    # given: a host that would answer, if it were asked
    from quell_microsoft.simulator.server import SimulatorOptions, start

    with ground.runtime() as runtime, start(SimulatorOptions()) as stranger:
        ground.settle(runtime)
        stamped_alike(ground, 30)
        host = stranger.ready()["base_url"].removeprefix("https://")
        # when
        ground.turn(next_link_host=host, short_pages=10)
        report = ground.pass_once(runtime)
        shown = ground.quell("sync")
        # then
        assert any(one.startswith("defender: ") for one in report.problems)
        shown.check_is_one_line(4, "defender: ", "Nothing was sent", "check `microsoft.cloud`")
        assert not stranger.tenant.ledger.calls
        # and when
        ground.turn(next_link_host="", short_pages=0)
        ground.check_nothing_is_lost(runtime)
    assert len(ground.copies) == 30


@pytest.mark.parametrize("lacking", ["", None, {"wrong": "type"}], ids=["", "null", "object"])
def test_a_row_without_an_id_waits_aside_until_it_has_one(ground: Ground, lacking: Any) -> None:
    # given
    good, bad = ground.detect("good"), ground.detect("bad")
    number, bad.body["id"] = bad.body["id"], lacking
    with ground.runtime() as runtime:
        # when
        for _ in range(3):
            ground.pass_once(runtime)
        # then
        assert [copy.properties["title"] for copy in ground.copies] == ["good"]
        status = ground.quell("sync", "status", "--json")
        assert status.code == 1
        assert "a row of the list has no id" in str(status.json[0]["parked"])
        # and when it has one, its time of change being the same
        bad.body["id"] = number
        ground.check_nothing_is_lost(runtime)
        assert ground.quell("sync", "status").code == 0
    assert len(ground.copies) == 2
    assert good.body["severity"] == "high"


def test_a_row_that_breaks_its_page_and_has_no_id_is_asked_for_again_by_its_place(
    ground: Ground,
) -> None:
    # given: without the property the simulated service itself answers 500
    ground.detect("good")
    bad = ground.detect("bad")
    number = bad.body.pop("id")
    with ground.runtime() as runtime:
        # when
        for _ in range(3):
            ground.pass_once(runtime)
        # then
        assert [copy.properties["title"] for copy in ground.copies] == ["good"]
        assert ground.quell("sync", "status").code == 1
        # and when
        bad.body["id"] = number
        ground.check_nothing_is_lost(runtime)
        assert ground.quell("sync", "status").code == 0
