"""Batches of events in every journal: stored with the checkpoint, due, refused, summed up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from quell.domain.ids import SourceId, TenantId
from quell.errors import StateError
from quell.journal import Journal, cursors, event_batches
from quell.journal.event_batches import Batch, NewBatch

pytestmark = pytest.mark.anyio

TENANT, OTHER = TenantId("acme"), TenantId("other")
CURSOR = SourceId("events/house/Doors")


def a_batch(name: str, *, stream: str = "S", sink: str = "store") -> NewBatch:
    return NewBatch(id=name, sink_id=sink, stream=stream, body=b"\x00\xff", rows=2, size=10)


async def due(journal: Journal, tenant: TenantId = TENANT) -> list[Batch]:
    return await journal.ask(event_batches.due(tenant, "store", limit=50))


async def test_batches_and_checkpoint_are_stored_together_or_not_at_all(
    open_journal: Callable[[], Journal],
) -> None:
    # given
    journal = open_journal()
    await journal.commit(event_batches.store(TENANT, CURSOR, 0, "one", [a_batch("1")]))

    # when
    with pytest.raises(StateError):
        await journal.commit(event_batches.store(TENANT, CURSOR, 0, "two", [a_batch("2")]))

    # then
    assert (await journal.ask(cursors.get(TENANT, CURSOR))).cursor == "one"
    (kept,) = await due(journal)
    assert (kept.id, kept.body, kept.attempts, kept.is_parked) == ("1", b"\x00\xff", 0, False)
    assert await due(journal, OTHER) == []


async def test_a_batch_that_was_delayed_comes_later_and_the_others_now(
    open_journal: Callable[[], Journal],
) -> None:
    # given
    journal = open_journal()
    stored = [a_batch("1"), a_batch("2")]
    await journal.commit(event_batches.store(TENANT, CURSOR, 0, "x", stored))

    # when
    later = journal.now() + timedelta(hours=1)
    assert await journal.commit(event_batches.delay(TENANT, "1", "busy", later))
    assert await journal.commit(event_batches.taken(TENANT, "2"))

    # then
    assert await due(journal) == []
    (waiting,) = await journal.ask(event_batches.waiting(TENANT))
    assert (waiting.batches, waiting.rows, waiting.size) == (1, 2, 10)
    assert (waiting.error, waiting.parked, waiting.retry_at) == ("busy", 0, None)


async def test_a_refused_stream_waits_for_its_refused_batch_and_no_other_stream_does(
    open_journal: Callable[[], Journal],
) -> None:
    # given
    journal = open_journal()
    stored = [a_batch("1"), a_batch("2"), a_batch("3", stream="T")]
    await journal.commit(event_batches.store(TENANT, CURSOR, 0, "x", stored))
    first = (await due(journal))[0]

    # when
    now = journal.now()
    await journal.commit(event_batches.park(TENANT, first, "no", now + timedelta(hours=1)))
    while_refused = [batch.id for batch in await due(journal)]
    sums = {one.stream: one for one in await journal.ask(event_batches.waiting(TENANT))}
    await journal.commit(event_batches.park(TENANT, first, "no", now - timedelta(hours=1)))
    when_its_time_came = [batch.id for batch in await due(journal)]

    # then
    assert while_refused == ["3"]
    assert when_its_time_came == ["1", "3"]
    assert (sums["S"].batches, sums["S"].parked) == (2, 1)
    assert sums["S"].retry_at is not None
    assert sums["T"].retry_at is None


async def test_a_batch_that_was_refused_for_good_stops_nothing_until_a_person_decides(
    open_journal: Callable[[], Journal],
) -> None:
    # given
    journal = open_journal()
    stored = [a_batch("1"), a_batch("2"), a_batch("3", stream="T")]
    await journal.commit(event_batches.store(TENANT, CURSOR, 0, "x", stored))
    for batch in await due(journal):
        if batch.id != "2":
            await journal.commit(event_batches.park(TENANT, batch, "malformed", None))
    assert [batch.id for batch in await due(journal)] == ["2"]

    # when
    again = await journal.commit(event_batches.retry_parked(TENANT, "S"))
    dropped = await journal.commit(event_batches.drop_parked(TENANT))

    # then
    assert (again, dropped) == (1, 1)
    assert [batch.id for batch in await due(journal)] == ["1", "2"]


async def test_parts_take_the_place_of_a_batch_once(open_journal: Callable[[], Journal]) -> None:
    # given
    journal = open_journal()
    await journal.commit(event_batches.store(TENANT, CURSOR, 0, "x", [a_batch("1")]))
    parts = [a_batch("1.0"), a_batch("1.1")]

    # when
    first = await journal.commit(event_batches.replace(TENANT, "1", parts))
    second = await journal.commit(event_batches.replace(TENANT, "1", parts))

    # then
    assert (first, second) == (True, False)
    assert [batch.id for batch in await due(journal)] == ["1.0", "1.1"]
