"""Tenant time: scaled, advanced, and written as the services write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from quell_microsoft.simulator.state.clock import (
    SimulatedClock,
    later_than,
    parse_stamp,
    sortable,
    stamp,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
moments = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis wants it so
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@given(moments)
def test_a_stamp_lies_on_the_grid_and_reads_back_close_by(moment: datetime) -> None:
    # when
    text = stamp(moment)
    read = parse_stamp(text)

    # then
    assert read is not None
    assert abs(read - moment) < timedelta(milliseconds=3)
    assert text.endswith("Z")
    assert len(text.partition(".")[2].rstrip("Z")) <= 7


@given(moments, moments)
def test_a_later_stamp_is_later(previous: datetime, now: datetime) -> None:
    # given
    now = max(previous - timedelta(minutes=4), now)

    # when
    before = stamp(previous)
    after = sortable(later_than(before, now))

    # then
    known = sortable(before)
    assert after is not None
    assert known is not None
    assert after > known


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_none(text: str) -> None:
    # then
    found = parse_stamp(text)
    assert found is None or found.tzinfo is not None


def test_time_runs_at_scale_and_timers_fire_in_order_of_when_they_were_due() -> None:
    # given
    ticks = [0.0]
    clock = SimulatedClock(60, start=NOON, ticks=lambda: ticks[0])
    fired: list[str] = []

    def first() -> None:
        fired.append("first")
        clock.after(10, lambda: fired.append("chained"))

    clock.after(100, lambda: fired.append("second"))
    clock.after(50, first)

    # when
    ticks[0] = 1.0
    clock.settle()
    early = list(fired)
    clock.advance(45)
    clock.settle()

    # then
    assert clock.now() == NOON + timedelta(seconds=105)
    assert early == ["first", "chained"]
    assert fired == ["first", "chained", "second"]
    assert clock.real_seconds(60) == 1.0
