"""Answers of a product that cannot be read: the poll says so, stays where it is, and catches up."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fault_ground import Ground

from quell.domain.ids import SourceId
from quell.journal import cursors

#: kinds of fault, and a word of what is said to do about it
REMEDIES = {
    "malformed": "A proxy on the way may have cut it",
    "truncated": "Check the network",
    "partial206": "report the endpoint",
    "drop": "Check the network",
    "500": "`quell doctor` checks the connection",
    "503": "`quell doctor` checks the connection",
    "429": "quell waits and goes on by itself",
}
LIST = "/security/incidents$"
ONE = "/security/incidents/[^/]+$"


@pytest.mark.parametrize("kind", REMEDIES)
def test_a_list_that_cannot_be_read_moves_no_cursor_and_loses_no_incident(
    ground: Ground, kind: str
) -> None:
    # given: one poll that went well
    ground.detect("before")
    with ground.runtime() as runtime:
        ground.settle(runtime)
        before = runtime.journal.ask_now(cursors.get(runtime.tenant().id, SourceId("defender")))
        # when
        ground.detect("during")
        ground.fail(kind=kind, method="GET", path=LIST, times=None, retry_after=0.1)
        report = ground.pass_once(runtime)
        # then: one line for the source, with what to do
        (problem,) = report.problems
        assert problem.startswith("defender: ")
        assert problem.count(". ") or problem.endswith("."), problem
        stored = runtime.journal.ask_now(cursors.get(runtime.tenant().id, SourceId("defender")))
        assert stored.cursor == before.cursor
        assert stored.error
        # and when it answers again
        ground.mend()
        ground.detect("after")
        ground.check_nothing_is_lost(runtime)
        assert {copy.properties["title"] for copy in ground.copies} == {"before", "during", "after"}


@pytest.mark.parametrize("kind", ["malformed", "truncated", "drop", "500", "429"])
def test_one_incident_that_cannot_be_read_waits_aside_or_again(ground: Ground, kind: str) -> None:
    # given
    good, bad = ground.detect("good"), ground.detect("bad")
    # it began before the time that the first poll goes back: it is read by itself, with its alerts
    bad.body["createdDateTime"] = "2010-01-01T00:00:00Z"
    path = f"/security/incidents/{bad.body['id']}$"
    ground.fail(kind=kind, method="GET", path=path, times=None, retry_after=0.1)
    with ground.runtime() as runtime:
        # when
        ground.pass_once(runtime)
        # then
        assert "bad" not in [copy.properties["title"] for copy in ground.copies]
        status = ground.quell("sync", "status", "--json")
        assert status.code == 1
        assert any(bad.body["id"] in str(row["parked"]) or row["problem"] for row in status.json)
        # and when
        ground.mend()
        ground.check_nothing_is_lost(runtime)
        assert ground.quell("sync", "status").code == 0
    assert good.body["status"] == bad.body["status"] == "active"


def test_the_command_line_says_in_one_line_which_source_failed_and_what_to_do(
    ground: Ground,
) -> None:
    # given
    ground.detect("one")
    ground.fail(kind="malformed", method="GET", path=LIST, times=None)
    # when
    shown = ground.quell("sync")
    # then
    shown.check_is_one_line(4, "defender: ", "not JSON", "A proxy on the way may have cut it")


def test_an_answer_that_comes_too_late_is_told_and_tried_again(ground: Ground) -> None:
    # given
    ground.sections["microsoft"]["read_timeout"] = 0.5
    ground.write_settings()
    ground.detect("one")
    ground.fail(kind="slow", method="GET", path=LIST, delay=3.0)
    with ground.runtime() as runtime:
        # when
        report = ground.pass_once(runtime)
        # then
        assert "no answer in time" in report.problems[0]
    ground.sections["microsoft"]["read_timeout"] = 10.0
    ground.write_settings()
    with ground.runtime() as runtime:
        ground.check_nothing_is_lost(runtime)


STRANGE: list[dict[str, Any]] = [
    {"severity": "catastrophic"},
    {"status": "pondering"},
    {"determination": "hauntedHouse", "classification": "trueNegative"},
    {"severity": None, "status": None, "classification": None, "determination": None},
    {"customTags": None, "comments": None, "systemTags": None},
    {"somethingNew": {"nested": [1, 2, {"@odata.type": "#microsoft.graph.unheardOf"}]}},
    {"displayName": 5, "severity": {"a": 1}, "customTags": "none", "comments": "many"},
    {"createdDateTime": "0001-01-01T00:00:00Z"},
    {"createdDateTime": "9999-12-31T23:59:59.9999999Z"},
]


@pytest.mark.parametrize("fields", STRANGE, ids=lambda fields: "-".join(fields)[:40])
def test_values_that_nobody_knows_lose_neither_their_incident_nor_others(
    ground: Ground, fields: dict[str, Any]
) -> None:
    # given
    ground.detect("plain")
    strange = ground.detect("strange")
    strange.body.update(fields)
    with ground.runtime() as runtime:
        # when
        for _ in range(3):
            ground.pass_once(runtime)
        # then: the plain one is there, the strange one is there or waits aside with a reason
        ground.copy_of("plain")
        parked = runtime.journal.ask_now(cursors.listed_items(runtime.tenant().id))
        assert len(ground.copies) == 2 or [item.reason for item in parked] != []
        # and when the product comes to its senses
        strange.body.update(
            {
                "displayName": "strange",
                "severity": "high",
                "status": "active",
                "classification": "unknown",
                "determination": "unknown",
                "customTags": [],
                "comments": [],
                "createdDateTime": strange.body["createdDateTime"]
                if "createdDateTime" not in fields
                else "2026-01-01T00:00:00Z",
                "lastUpdateDateTime": "2026-01-01T00:00:00Z",
            }
        )
        ground.tenant.queue.change_incident(strange, {}, "analyst")
        ground.check_nothing_is_lost(runtime)


def test_a_description_of_ten_megabytes_is_kept_as_far_as_each_product_holds_it(
    ground: Ground,
) -> None:
    # given
    ground.detect("plain")
    huge = ground.detect("huge", description="x" * 10_000_000)
    with ground.runtime() as runtime:
        # when
        ground.check_nothing_is_lost(runtime)
    # then
    copy = ground.copy_of("huge")
    assert len(copy.properties["description"]) == 5_000
    assert len(huge.body["description"]) == 10_000_000
    shown = ground.quell("incidents")
    assert shown.code == 0
    assert len(shown.out) < 10_000
