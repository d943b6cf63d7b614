"""Whether a machine is isolated, read from nothing but what was ordered for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.domain.outcome import Observed
from quell_defender.machines import ActionStatus, MachineAction, MachineActionKind
from quell_device.isolation import isolated, read_isolation, released

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START + timedelta(days=1)
ISOLATE, RELEASE = MachineActionKind.ISOLATE, MachineActionKind.UNISOLATE


def order(
    kind: str, status: str, *, at: int, until: int | None = None, comment: str = ""
) -> MachineAction:
    """Make an order given at one minute and last changed at another."""
    return MachineAction(
        id=f"{kind}-{at}",
        kind=kind,
        status=status,
        machine_id="m",
        requestor=f"analyst-{at}",
        comment=comment,
        cancelled_by="",
        error="",
        created=START + timedelta(minutes=at),
        updated=START + timedelta(minutes=at if until is None else until),
    )


def newest_first(*orders: MachineAction) -> list[MachineAction]:
    """Sort as the client does."""
    return sorted(orders, key=lambda each: each.created, reverse=True)


def test_a_machine_without_orders_is_free() -> None:
    # given
    state = read_isolation([])

    # then
    assert isolated(state, NOW).state is Observed.NOT_SO
    assert released(state, NOW).state is Observed.SO


def test_the_last_order_that_was_carried_out_counts() -> None:
    # given
    state = read_isolation(
        newest_first(order(ISOLATE, "Succeeded", at=1), order(RELEASE, "Succeeded", at=5))
    )

    # then
    assert isolated(state, NOW).state is Observed.NOT_SO
    assert released(state, NOW).made_by == "analyst-5"


def test_an_isolation_that_hung_and_ended_after_a_later_release_counts() -> None:
    # given an isolation ordered first and carried out last
    state = read_isolation(
        newest_first(
            order(ISOLATE, "Succeeded", at=1, until=30), order(RELEASE, "Succeeded", at=5, until=6)
        )
    )

    # then
    assert isolated(state, NOW).state is Observed.SO
    assert isolated(state, NOW).made_by == "analyst-1"


@pytest.mark.parametrize("status", ["Failed", "TimeOut", "Cancelled"])
def test_an_order_that_was_not_carried_out_changes_nothing(status: str) -> None:
    # given
    state = read_isolation(
        newest_first(order(ISOLATE, "Succeeded", at=1), order(RELEASE, status, at=5))
    )

    # then
    assert isolated(state, NOW).state is Observed.SO


@pytest.mark.parametrize("status", ["Pending", "InProgress"])
def test_an_open_isolation_can_be_adopted(status: str) -> None:
    # given somebody else's order
    state = read_isolation([order(ISOLATE, status, at=1, comment="by hand")])

    # when
    seen = isolated(state, NOW)

    # then
    assert seen.state is Observed.NOT_SO
    assert seen.open_operation is not None
    assert seen.open_operation.id == "Isolate-1"
    assert seen.open_operation.adopted
    assert seen.made_by == "analyst-1"


def test_an_open_isolation_of_ours_is_not_somebody_elses() -> None:
    # given
    state = read_isolation([order(ISOLATE, "Pending", at=1, comment="[quell key-00001] why")])

    # when
    seen = isolated(state, NOW)

    # then
    assert seen.keys == ("key-00001",)
    assert seen.open_operation is not None
    assert not seen.open_operation.adopted


def test_an_open_release_leaves_the_question_to_a_person() -> None:
    # given
    state = read_isolation(
        newest_first(order(ISOLATE, "Succeeded", at=1), order(RELEASE, "Pending", at=5))
    )

    # when
    seen = isolated(state, NOW)

    # then
    assert seen.state is Observed.CANNOT_TELL
    assert "analyst-5" in seen.reason


def test_an_isolation_of_ours_that_is_being_taken_back_still_shows_its_key() -> None:
    # given
    state = read_isolation(
        newest_first(
            order(ISOLATE, "Succeeded", at=1, comment="[quell key-00001]"),
            order(RELEASE, "Pending", at=5, comment="[quell key-00002]"),
        )
    )

    # then
    assert isolated(state, NOW).keys == ("key-00001",)
    assert released(state, NOW).keys == ("key-00002",)


def test_an_isolation_of_ours_that_failed_shows_no_key() -> None:
    # given
    state = read_isolation([order(ISOLATE, "Failed", at=1, comment="[quell key-00001]")])

    # then
    assert isolated(state, NOW).keys == ()


def test_an_open_isolation_is_not_a_free_machine() -> None:
    # given
    state = read_isolation([order(ISOLATE, "Pending", at=1)])

    # then
    assert released(state, NOW).state is Observed.NOT_SO
    assert released(state, NOW).open_operation is None


def test_an_isolation_of_ours_that_was_taken_back_still_shows_its_key() -> None:
    # given
    state = read_isolation(
        newest_first(
            order(ISOLATE, "Succeeded", at=1, comment="[quell key-00001]"),
            order(RELEASE, "Succeeded", at=5),
        )
    )

    # when
    seen = isolated(state, NOW)

    # then
    assert seen.state is Observed.NOT_SO
    assert seen.keys == ("key-00001",)
    assert "analyst-5" in seen.reason


ORDERS = st.lists(
    st.builds(
        order,
        kind=st.sampled_from([ISOLATE, RELEASE, "RunAntiVirusScan"]),
        status=st.sampled_from([*(status.value for status in ActionStatus), "Novel"]),
        at=st.integers(0, 1000),
        until=st.integers(0, 1000),
    ),
    max_size=12,
)


@given(orders=ORDERS)
def test_a_machine_is_never_seen_isolated_and_free_at_once(orders: list[MachineAction]) -> None:
    # given
    state = read_isolation(newest_first(*orders))

    # when
    answers = {isolated(state, NOW).state, released(state, NOW).state}

    # then
    assert answers != {Observed.SO}


@given(orders=ORDERS)
def test_without_open_orders_the_answer_is_never_in_doubt(orders: list[MachineAction]) -> None:
    # given
    final = [each for each in orders if not each.is_open]
    state = read_isolation(newest_first(*final))

    # when
    answers = [isolated(state, NOW).state, released(state, NOW).state]

    # then
    assert sorted(answers) == [Observed.NOT_SO, Observed.SO]
