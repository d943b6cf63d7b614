"""The heartbeat: it holds on to what is in hand, lets go of what is not its own, and hides no stall."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.servers import fresh_database

from quell.domain.ids import RunId, TenantId, WorkerId
from quell.engine.heartbeat import Heartbeat
from quell.errors import FenceLost
from quell.journal import Journal, Write, runs
from quell.journal.runs import NewRun, RunRef
from quell.journal.writer import Transaction

pytestmark = pytest.mark.anyio
TENANT, OTHER = TenantId("contoso"), TenantId("fabrikam")
ONE, TWO = WorkerId("one"), WorkerId("two")
LEASE, PAST = timedelta(seconds=60), timedelta(seconds=-1)


async def claimed(journal: Journal, name: str, tenant: TenantId = TENANT) -> tuple[RunRef, int]:
    run = NewRun(id=RunId(name), playbook_id="p", digest="d", cause=name)
    await journal.commit(runs.create(tenant, run))
    ref = RunRef(tenant, run.id)
    claim = await journal.commit(runs.claim(ref, ONE, timedelta(seconds=1)))
    assert claim is not None
    return ref, claim.run.fence


@pytest.fixture
def heartbeat(journal: Journal) -> Heartbeat:
    """Give a heartbeat that beats when the test says so."""
    return Heartbeat(journal, ONE, LEASE, every=3600)


@pytest.fixture
def shared(postgres: str) -> Iterator[Journal]:
    """Give a journal that several write to at a time; in SQLite one does, and the others wait."""
    with fresh_database(postgres) as url:
        journal = Journal.open(url)
        yield journal
        journal.close()


def seconds_left(journal: Journal, ref: RunRef) -> float:
    row = journal.ask_now(runs.get(ref))
    assert row.lease_until is not None
    return (row.lease_until - journal.now()).total_seconds()


def let_run_out(journal: Journal, ref: RunRef) -> None:
    journal.submit(runs.renew(ONE, [ref.run_id], timedelta(seconds=1))).result(30)


async def test_one_beat_renews_all_runs_in_hand_of_all_tenants_and_no_others(
    journal: Journal, heartbeat: Heartbeat
) -> None:
    # given
    (first, fence), (second, other_fence) = [
        await claimed(journal, "r1"),
        await claimed(journal, "r2", OTHER),
    ]
    ended, _ = await claimed(journal, "r3")

    # when
    with heartbeat.holding(first, fence), heartbeat.holding(second, other_fence):
        await asyncio.to_thread(heartbeat.beat)

        # then
        assert seconds_left(journal, first) > 50
        assert seconds_left(journal, second) > 50
        assert seconds_left(journal, ended) <= 1
    heartbeat.close()


async def test_a_run_that_another_took_over_is_stopped_where_it_stands(
    journal: Journal, heartbeat: Heartbeat
) -> None:
    # given: two runs in hand, and one of them is taken over
    (lost, fence), (kept, kept_fence) = await claimed(journal, "r1"), await claimed(journal, "r2")
    reached: list[str] = []

    async def drive(ref: RunRef, fence: int) -> None:
        with heartbeat.holding(ref, fence):
            await asyncio.sleep(0.05 if ref == kept else 3600)
            reached.append(ref.run_id)

    driving = asyncio.create_task(drive(lost, fence))
    other = asyncio.create_task(drive(kept, kept_fence))
    await asyncio.sleep(0)
    await journal.commit(runs.renew(ONE, [lost.run_id], PAST))
    taken = await journal.commit(runs.claim(lost, TWO, LEASE))
    assert taken is not None

    # when
    await asyncio.to_thread(heartbeat.beat)

    # then
    with pytest.raises(FenceLost):
        await asyncio.wait_for(driving, 20)
    await other
    assert reached == [kept.run_id]
    assert driving.cancelling() == 0
    row = journal.ask_now(runs.get(lost))
    assert (row.owner, row.fence) == (TWO, taken.run.fence)
    heartbeat.close()


async def test_what_the_run_itself_has_let_go_is_not_taken_for_lost(
    journal: Journal, heartbeat: Heartbeat
) -> None:
    # given: the write that ends the hold is on record, and the drive has not heard of it yet
    ref, fence = await claimed(journal, "r1")
    with heartbeat.holding(ref, fence):
        await journal.commit(runs.rest(ref, fence, None))

        # when
        await asyncio.to_thread(heartbeat.beat)
        await asyncio.sleep(0.05)

    # then: no FenceLost was raised
    assert journal.ask_now(runs.get(ref)).lease_until is None
    heartbeat.close()


async def test_a_loop_that_does_not_answer_keeps_no_run_and_one_that_does_again_keeps_it(
    journal: Journal,
) -> None:
    # given
    heartbeat = Heartbeat(journal, ONE, LEASE, every=3600, stalled_after=0.2)
    ref, fence = await claimed(journal, "r1")
    beaten: list[float] = []

    def beat_twice() -> None:
        heartbeat.beat()
        time.sleep(0.4)
        let_run_out(journal, ref)
        heartbeat.beat()
        beaten.append(seconds_left(journal, ref))

    with heartbeat.holding(ref, fence):
        # when: something blocks the loop, as code that is not `async` does
        thread = threading.Thread(target=beat_twice)
        thread.start()
        thread.join()  # blocks the loop until the beats are over
        await asyncio.sleep(0.01)
        await asyncio.to_thread(heartbeat.beat)

        # then
        assert beaten[0] <= 1
        assert seconds_left(journal, ref) > 50
    heartbeat.close()


async def test_a_beat_that_comes_late_is_no_sign_of_a_loop_that_does_not_answer(
    journal: Journal,
) -> None:
    # given: the loop has answered the one beat that there was
    heartbeat = Heartbeat(journal, ONE, LEASE, every=3600, stalled_after=0.2)
    ref, fence = await claimed(journal, "r1")
    with heartbeat.holding(ref, fence):
        await asyncio.to_thread(heartbeat.beat)

        # when: the next one is held up, by a slow database for one
        await asyncio.sleep(0.4)
        let_run_out(journal, ref)
        await asyncio.to_thread(heartbeat.beat)

        # then
        assert seconds_left(journal, ref) > 50
    heartbeat.close()


async def test_a_long_queue_of_writes_costs_no_lease(shared: Journal) -> None:
    # given: the writer is held up in the middle of a transaction
    journal = shared
    heartbeat = Heartbeat(journal, ONE, LEASE, every=3600)
    ref, fence = await claimed(journal, "r1")
    goes_on = threading.Event()
    with heartbeat.holding(ref, fence):
        slow = journal.submit(Write(lambda tx: goes_on.wait(30)))

        # when
        await asyncio.to_thread(heartbeat.beat)

        # then
        assert not slow.done()
        assert seconds_left(journal, ref) > 50
        goes_on.set()
        await asyncio.wrap_future(slow)
    heartbeat.close()


async def test_a_row_that_is_being_written_holds_up_no_other_lease(shared: Journal) -> None:
    # given: a write of one of two runs stands in the middle of its transaction
    heartbeat = Heartbeat(shared, ONE, LEASE, every=3600)
    (busy, fence), (free, free_fence) = await claimed(shared, "r1"), await claimed(shared, "r2")
    has_lock, goes_on = threading.Event(), threading.Event()

    def write(tx: Transaction) -> None:
        runs.lock(tx, busy)
        has_lock.set()
        goes_on.wait(30)

    with heartbeat.holding(busy, fence), heartbeat.holding(free, free_fence):
        slow = shared.submit(Write(write))
        await asyncio.to_thread(has_lock.wait, 30)

        # when
        await asyncio.to_thread(heartbeat.beat)
        was_waiting = not slow.done()
        left = (seconds_left(shared, busy), seconds_left(shared, free))
        goes_on.set()
        await asyncio.wrap_future(slow)
        await asyncio.to_thread(heartbeat.beat)

        # then: it is neither lost nor forgotten
        assert was_waiting
        assert left[0] <= 1
        assert left[1] > 50
        assert seconds_left(shared, busy) > 50
    heartbeat.close()
