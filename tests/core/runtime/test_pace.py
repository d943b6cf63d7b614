"""The wait between two polls: short while things change, longer when it is quiet, always in bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.runtime.pace import FASTEST, SLOWEST, Pace

NORMAL = st.floats(0.5, 3600)


@given(NORMAL, st.lists(st.booleans(), max_size=60))
def test_the_wait_stays_within_its_bounds_whatever_happens(normal: float, busy: list[bool]) -> None:
    pace = Pace.of(normal)
    for one in busy:
        pace.note(is_busy=one)
        assert normal * FASTEST * 0.999 <= pace.wait <= normal * SLOWEST * 1.001


@given(NORMAL, st.integers(1, 40))
def test_a_change_is_followed_by_the_shortest_wait_and_quiet_by_ever_longer_ones(
    normal: float, quiet: int
) -> None:
    # given
    pace = Pace.of(normal)
    pace.note(is_busy=True)
    waits = [pace.wait]

    # when
    for _ in range(quiet):
        pace.note(is_busy=False)
        waits.append(pace.wait)

    # then
    assert waits[0] == pytest.approx(normal * FASTEST)
    assert waits == sorted(waits)
    assert quiet < 12 or waits[-1] == pytest.approx(normal * SLOWEST)
