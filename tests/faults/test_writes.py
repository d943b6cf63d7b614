"""Writes whose answer is lost or wrong: looked up before they are sent again, and never doubled."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fault_ground import Ground

#: how an answer to a write can go wrong, and whether the write took effect all the same
LOST = [
    ("500", False),
    ("504", True),
    ("429", False),
    ("409", False),
    ("drop", False),
    ("drop", True),
    ("truncated", True),
    ("malformed", True),
]
TEXT = "Called the user, it was not them."


@pytest.mark.parametrize(("kind", "took_effect"), LOST)
def test_copies_and_comments_are_made_once_whatever_becomes_of_the_answers(
    ground: Ground, kind: str, took_effect: bool
) -> None:
    # given: the first writes to Sentinel all go wrong
    originals = [ground.detect(f"incident {number}") for number in range(3)]
    ground.tenant.queue.comment(originals[0], TEXT, "analyst@corp.example")
    ground.fail(kind=kind, method="PUT", retry_after=0.1, after_effect=took_effect, times=4)
    with ground.runtime() as runtime:
        # when
        reports = [ground.pass_once(runtime) for _ in range(3)]
        # and an analyst answers in Sentinel meanwhile
        copy = ground.copy_of("incident 1")
        workspace = ground.tenant.workspaces[0]
        copy.properties.update(status="Active", severity="Low")
        workspace.touch(copy, by="analyst")
        # then
        ground.check_nothing_is_lost(runtime)
    assert any(report.problems for report in reports) or kind == "409"
    assert [rule.times for rule in ground.tenant.faults.rules] == [0]
    titles = sorted(copy.properties["title"] for copy in ground.copies)
    assert titles == ["incident 0", "incident 1", "incident 2"]
    told = [
        one
        for one in ground.copy_of("incident 0").comments.values()
        if TEXT in str(one.properties["message"])
    ]
    assert len(told) == 1
    assert originals[1].body["status"] == "inProgress"
    assert originals[1].body["severity"] == "low"


@pytest.mark.parametrize(("kind", "took_effect"), [("drop", True), ("504", True), ("drop", False)])
def test_a_comment_on_its_way_to_defender_arrives_once(
    ground: Ground, kind: str, took_effect: bool
) -> None:
    # given
    original = ground.detect("one")
    with ground.runtime() as runtime:
        ground.settle(runtime)
        workspace = ground.tenant.workspaces[0]
        copy = ground.copy_of("one")
        # when: Defender takes no key of ours, so that a repeated POST would be a second comment
        ground.fail(kind=kind, method="POST", path="/comments$", after_effect=took_effect)
        _comment_in_sentinel(ground, copy, TEXT)
        workspace.touch(copy, by="analyst")
        ground.pass_once(runtime)
        # then
        ground.check_nothing_is_lost(runtime)
    texts = [str(comment["comment"]) for comment in original.body["comments"]]
    assert sum(TEXT in text for text in texts) == 1


def _comment_in_sentinel(ground: Ground, copy: Any, text: str) -> None:
    import httpx

    simulator = ground.simulator
    with httpx.Client(base_url=simulator.base_url, verify=simulator.ssl_context) as client:
        answer = client.post(
            f"/_simulator/sentinel/incidents/{copy.name}/comments",
            json={"message": text, "author": "soc.analyst"},
            headers={"X-Simulator-Token": simulator.tenant.control_token},
        )
        answer.raise_for_status()
