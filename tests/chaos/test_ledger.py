"""The judge of the chaos suite: it notices what is lost, doubled, or told differently by the two books."""

from __future__ import annotations

from typing import Any

import pytest
from tests.chaos.ledger import Wanted, compare

from quell.domain.ids import RunId
from quell.domain.run import EffectState, RunState

ONE, OTHER = "a" * 40, "b" * 40


def tenant(*, one: int = 1, other: int = 1, remarks: int = 1, copies: int = 1) -> dict[str, Any]:
    return {
        "machines": [
            {"id": ONE, "accepted": {"Isolate": one}},
            {"id": OTHER, "accepted": {"Isolate": other} if other else {}},
        ],
        "incidents": [{"id": "1", "displayName": "i", "released": True, "comments": remarks}],
        "sentinel": [{"incidents": [{"title": "i"}] * copies}],
    }


def wanted(state: EffectState = EffectState.DONE) -> list[Wanted]:
    done = Wanted("r", "device.isolate", EffectState.DONE, ONE, "")
    return [done, Wanted("r", "device.isolate", state, OTHER, "refused")]


STATES = {"r1": RunState.DONE, "r2": RunState.DONE}
SUBMITTED = [RunId("r1"), RunId("r2")]


def test_books_that_agree_are_in_order() -> None:
    account = compare(tenant(), STATES, wanted(), SUBMITTED)

    assert account.wrongs == []
    assert (account.ordered, account.done, account.lost, account.doubled) == (2, 2, 0, 0)


def test_what_failed_and_was_not_ordered_is_in_order_too() -> None:
    account = compare(tenant(other=0), STATES, wanted(EffectState.FAILED), SUBMITTED)

    assert account.wrongs == []
    assert account.refused == 1


@pytest.mark.parametrize(
    ("facts", "state", "lost", "doubled"),
    [
        pytest.param(tenant(other=2), EffectState.DONE, 0, 1, id="ordered twice"),
        pytest.param(tenant(other=0), EffectState.DONE, 1, 0, id="done, and never ordered"),
        pytest.param(tenant(), EffectState.FAILED, 0, 0, id="ordered, and called failed"),
        pytest.param(tenant(), EffectState.UNKNOWN, 0, 0, id="ordered, and called unknown"),
        pytest.param(tenant(remarks=2), EffectState.DONE, 0, 1, id="remarked twice"),
        pytest.param(tenant(remarks=0), EffectState.DONE, 1, 0, id="no remark"),
        pytest.param(tenant(copies=2), EffectState.DONE, 0, 0, id="copied twice"),
    ],
)
def test_books_that_disagree_are_wrong(
    facts: dict[str, Any], state: EffectState, lost: int, doubled: int
) -> None:
    account = compare(facts, STATES, wanted(state), SUBMITTED)

    assert account.wrongs
    assert (account.lost, account.doubled) == (lost, doubled)


@pytest.mark.parametrize(
    "states",
    [
        pytest.param({"r1": RunState.DONE}, id="missing"),
        pytest.param(STATES | {"r2": RunState.RUNNING}, id="never ended"),
    ],
)
def test_a_run_that_is_missing_or_never_ends_is_lost(states: dict[str, RunState]) -> None:
    account = compare(tenant(), states, wanted(), SUBMITTED)

    assert account.wrongs
    assert account.lost == 1
