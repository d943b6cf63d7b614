"""Checkpoints: what is remembered of a table, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from quell.stream.checkpoint import KEPT, MOST_KEPT, SKEW, Checkpoint

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
OVERLAP = timedelta(minutes=30)


def key(number: int) -> str:
    return f"{number:032x}"[::-1]


def test_a_checkpoint_survives_being_written_and_read() -> None:
    # given
    checkpoint = Checkpoint.begin(NOON).after(
        {key(1): NOON, key(2): NOON - timedelta(minutes=9)},
        NOON + OVERLAP / 2,
        NOON + OVERLAP,
        OVERLAP,
    )

    # when
    read = Checkpoint.load(checkpoint.dump(), datetime.min.replace(tzinfo=UTC))

    # then
    assert read == checkpoint
    assert read.fresh([key(1), key(2), key(3)]) == {key(3)}


def test_what_the_overlap_no_longer_reaches_is_forgotten() -> None:
    # given
    old = NOON - timedelta(hours=2)
    checkpoint = Checkpoint.begin(old).after({key(1): old}, old, old, OVERLAP)

    # when
    later = checkpoint.after({key(2): NOON}, NOON, NOON, OVERLAP)

    # then
    assert later.fresh([key(1), key(2)]) == {key(1)}


def test_a_checkpoint_never_moves_back() -> None:
    assert Checkpoint.begin(NOON).after({}, NOON - OVERLAP, NOON, OVERLAP).until == NOON


def test_a_row_that_is_older_than_the_overlap_is_remembered_all_the_same() -> None:
    # given
    ancient = {key(1): NOON - timedelta(days=400)}

    # when
    checkpoint = Checkpoint.begin(NOON).after(ancient, NOON, NOON, OVERLAP)

    # then
    assert checkpoint.fresh([key(1)]) == set()


def test_no_more_is_remembered_than_fits_and_the_newest_is() -> None:
    # given
    many = {key(number): NOON - OVERLAP for number in range(MOST_KEPT)}
    newest = {key(number): NOON for number in range(MOST_KEPT, MOST_KEPT + 10)}

    # when
    checkpoint = Checkpoint.begin(NOON).after(many | newest, NOON, NOON, OVERLAP)

    # then
    assert sum(map(len, checkpoint.seen.values())) == MOST_KEPT
    assert checkpoint.fresh(newest) == set()
    assert len(checkpoint.dump()) < MOST_KEPT * KEPT * 1.4


@pytest.mark.parametrize(
    "text",
    [
        None, "", "x", "{}", '{"until": "soon"}', '{"until": "2026-03-02T12:00:00"}',
        '{"until": "2026-03-02T12:00:00Z", "seen": {"0": "AAAA"}}',
        '{"until": "2026-03-02T12:00:00Z", "seen": {"soon": ""}}',
        '{"until": "2026-03-02T12:00:00Z", "seen": {"0": "no base"}}',
        '{"until": "2026-03-02T12:00:00Z", "version": 2}', "\ud800",
    ],
)  # fmt: skip
def test_one_that_cannot_be_read_begins_where_it_is_told_to(text: str | None) -> None:
    assert Checkpoint.load(text, NOON) == Checkpoint.begin(NOON)


def test_a_quiet_table_does_not_go_by_our_clock_alone() -> None:
    # given
    checkpoint = Checkpoint.begin(NOON - timedelta(hours=9))

    # when
    quiet = checkpoint.after({}, NOON, NOON, OVERLAP)
    busy = checkpoint.after({key(1): NOON - timedelta(minutes=1)}, NOON, NOON, OVERLAP)

    # then
    assert (quiet.until, quiet.reached) == (NOON - SKEW, NOON)
    assert busy.until == NOON - timedelta(minutes=1)


def test_a_row_of_the_future_does_not_move_the_checkpoint_there() -> None:
    # given
    future = {key(1): NOON + timedelta(hours=1)}

    # when
    checkpoint = Checkpoint.begin(NOON).after(future, NOON + SKEW, NOON, OVERLAP)

    # then
    assert checkpoint.until == NOON
    assert checkpoint.fresh(future) == set()
