"""Meters: what is counted from many threads is counted once each, and labels cannot run away."""

from __future__ import annotations

import threading

from quell.meters import COUNTERS, MOST_SERIES, SPREADS, Counter, Spread


def test_counts_of_many_threads_all_arrive() -> None:
    # given
    counter = Counter("c", "", ("who",))

    def count() -> None:
        for _ in range(2000):
            counter.add("all")

    # when
    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # then
    assert counter.read() == {("all",): 16_000}


def test_labels_beyond_the_limit_are_counted_together_and_known_ones_go_on() -> None:
    # given
    counter, spread = Counter("c", "", ("what", "how")), Spread("s", "", (1.0,), ("what",))

    # when
    for number in range(MOST_SERIES + 50):
        counter.add(str(number), "x")
        spread.note(0.5, str(number))
    counter.add("0", "x")

    # then
    counts = counter.read()
    assert len(counts) == MOST_SERIES + 1
    assert counts["other", "other"] == 50
    assert counts["0", "x"] == 2
    assert sum(spread.read()["other",].counts) == 50


def test_a_value_counts_up_to_the_first_bound_that_holds_it() -> None:
    # given
    spread = Spread("s", "", (1.0, 2.0))

    # when
    for value in (0.5, 1.0, 1.5, 99.0):
        spread.note(value)

    # then
    (series,) = spread.read().values()
    assert (series.counts, series.total) == ([2, 1, 1], 102.0)


def test_every_meter_has_its_own_name_and_says_what_it_is() -> None:
    names = [meter.name for meter in (*COUNTERS, *SPREADS)]
    assert len(set(names)) == len(names)
    assert all(meter.text.endswith(".") for meter in (*COUNTERS, *SPREADS))
