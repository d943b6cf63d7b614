"""Duties: one worker does each at a time, another takes over, and no failure stops the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from quell.domain.ids import TenantId, WorkerId
from quell.errors import StateError
from quell.journal import Journal, leases
from quell.journal.writer import Transaction, Write
from quell.runtime.duty import FIRST_PAUSE, LEASE, LONGEST_PAUSE, Duty

pytestmark = pytest.mark.anyio
LAB = TenantId("lab")
ONE, TWO = WorkerId("one"), WorkerId("two")
LONG = 3600.0


class Work:
    """Counts who began what, and can be held up in the middle."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.goes_on = asyncio.Event()

    def of(self, who: str) -> Callable[[], Awaitable[object]]:
        async def work() -> None:
            self.begun.append(who)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                await self.goes_on.wait()
            finally:
                self.at_once -= 1

        return work


def duty(
    work: Callable[[], Awaitable[object]], *, name: str = "poll/x", every: float = LONG
) -> Duty:
    return Duty(tenant_id=LAB, name=name, work=work, every=every)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 # what is waited for sets no event
            await asyncio.sleep(0.01)


async def test_two_holders_never_work_at_once_and_the_other_goes_on_when_one_stops(
    open_journal: Callable[[], Journal],
) -> None:
    # given
    work = Work()
    stops = [asyncio.Event(), asyncio.Event()]
    first, second = duty(work.of("one"), every=0.01), duty(work.of("two"), every=0.01)
    keeping = [
        asyncio.create_task(first.keep(open_journal(), ONE, stops[0])),
        asyncio.create_task(second.keep(open_journal(), TWO, stops[1])),
    ]
    await until(lambda: bool(work.begun))
    holder = work.begun[0]

    # when: the holder is told to stop
    stops[0 if holder == "one" else 1].set()
    work.goes_on.set()

    # then
    other = "two" if holder == "one" else "one"
    await until(lambda: other in work.begun)
    assert work.most_at_once == 1
    for stop in stops:
        stop.set()
    await asyncio.gather(*keeping)


async def test_the_duty_of_a_holder_that_died_is_done_by_another_when_its_lease_is_over(
    journal: Journal,
) -> None:
    # given: a holder that died with the lease in its hands
    lease = "duty/poll/x"
    fence = await journal.commit(leases.claim(LAB, lease, ONE, LEASE))
    assert fence is not None
    work = Work()
    work.goes_on.set()
    stop = asyncio.Event()
    kept = duty(work.of("two"), every=0.01)
    keeping = asyncio.create_task(kept.keep(journal, TWO, stop))

    # when: first while the lease lasts, then when it is over
    for _ in range(3):
        kept.hasten.set()
        await asyncio.sleep(0.02)
    begun_under_lease = list(work.begun)
    await journal.commit(leases.renew(LAB, lease, ONE, fence, timedelta(seconds=-1)))

    # then
    await until(lambda: bool(work.begun))
    assert begun_under_lease == []
    stop.set()
    await keeping


async def test_a_failing_duty_says_why_and_waits_longer_each_time_up_to_a_limit(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: time that passes at once, and is written down
    waits: list[float] = []
    stop = asyncio.Event()

    async def work() -> None:
        raise StateError(what="The source", problem="is away", remedy="Wait for it.")

    failing = duty(work)

    async def rest(self: Duty, seconds: float, stop: asyncio.Event) -> None:
        waits.append(seconds)
        if len(waits) == 9:
            stop.set()

    monkeypatch.setattr(Duty, "_rest", rest)

    # when
    await failing.keep(journal, ONE, stop)

    # then
    assert waits[0] == FIRST_PAUSE
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_PAUSE
    assert "The source: is away" in failing.problem


async def test_a_duty_that_broke_stops_no_other_and_gets_well_again(journal: Journal) -> None:
    # given
    is_broken = [True]
    done: list[str] = []
    stop = asyncio.Event()

    async def breaks() -> None:
        if is_broken[0]:
            raise ZeroDivisionError("ann@example.com")
        done.append("mended")

    async def works() -> None:
        done.append("other")

    broken, other = duty(breaks, name="broken", every=0.01), duty(works, name="other", every=0.01)

    # when
    keeping = [asyncio.create_task(one.keep(journal, ONE, stop)) for one in (broken, other)]
    await until(lambda: bool(broken.problem) and done.count("other") >= 2)
    problem = broken.problem
    is_broken[0] = False
    broken.hasten.set()
    await until(lambda: "mended" in done and not broken.problem)

    # then: what it says names the bug's kind and nothing of what it worked on
    assert "ZeroDivisionError" in problem
    assert "ann@example.com" not in problem
    stop.set()
    await asyncio.gather(*keeping)


async def test_a_duty_that_is_hastened_does_not_wait_for_its_time(journal: Journal) -> None:
    # given
    work = Work()
    work.goes_on.set()
    stop = asyncio.Event()
    kept = duty(work.of("one"))
    keeping = asyncio.create_task(kept.keep(journal, ONE, stop))
    await until(lambda: len(work.begun) == 1 and work.at_once == 0)
    await asyncio.sleep(0.05)

    # when
    kept.hasten.set()

    # then
    await until(lambda: len(work.begun) == 2)
    stop.set()
    await keeping


async def test_a_turn_that_hangs_is_given_up_and_said_and_begun_again(journal: Journal) -> None:
    # given
    begun: list[int] = []
    stop = asyncio.Event()

    async def work() -> None:
        begun.append(len(begun))
        if len(begun) == 1:
            await asyncio.Event().wait()

    hung = duty(work, every=0.01)
    hung.longest_turn = 0.0

    # when
    keeping = asyncio.create_task(hung.keep(journal, ONE, stop))
    await until(lambda: "did not end" in hung.problem)
    hung.hasten.set()

    # then
    await until(lambda: len(begun) > 2 and not hung.problem)
    stop.set()
    await keeping


async def test_a_turn_whose_lease_another_has_taken_is_given_up(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a holder in the middle of its work, which does not end by itself
    monkeypatch.setattr("quell.runtime.duty.LEASE", timedelta(seconds=0.4))
    monkeypatch.setattr("quell.runtime.duty.LOOK_EVERY", 0.05)
    work = Work()
    stop = asyncio.Event()
    keeping = asyncio.create_task(duty(work.of("one")).keep(journal, ONE, stop))
    await until(lambda: work.at_once == 1)

    # when
    (held,) = await journal.ask(leases.listed(LAB))
    await journal.commit(leases.renew(LAB, held.name, ONE, held.fence, timedelta(seconds=-1)))
    taken = await journal.commit(leases.claim(LAB, held.name, TWO, timedelta(hours=1)))

    # then
    assert taken is not None
    await until(lambda: work.at_once == 0)
    assert work.begun == ["one"]
    stop.set()
    await keeping


def renaming(before: str, after: str) -> Write[None]:
    """Give what takes a table away, or brings it back."""

    def apply(tx: Transaction) -> None:
        tx.execute(sa.text(f"ALTER TABLE {before} RENAME TO {after}"))

    return Write(apply)


async def test_trouble_with_the_journal_is_over_when_another_is_seen_to_hold_the_duty(
    journal: Journal,
) -> None:
    # given: a worker that cannot look, and another that takes the duty meanwhile
    work, stop = Work(), asyncio.Event()
    kept = duty(work.of("one"))
    await journal.commit(leases.claim(LAB, "duty/poll/x", TWO, timedelta(hours=1)))
    await journal.commit(renaming("leases", "leases_away"))
    keeping = asyncio.create_task(kept.keep(journal, ONE, stop))
    await until(lambda: "cannot be used" in kept.problem)

    # when
    await journal.commit(renaming("leases_away", "leases"))
    kept.hasten.set()

    # then
    await until(lambda: not kept.problem)
    assert work.begun == []
    stop.set()
    await keeping


async def test_trouble_with_the_journal_is_over_when_the_work_goes_on(
    journal: Journal,
) -> None:
    # given
    work, stop = Work(), asyncio.Event()
    kept = duty(work.of("one"))
    await journal.commit(renaming("leases", "leases_away"))
    keeping = asyncio.create_task(kept.keep(journal, ONE, stop))
    await until(lambda: "cannot be used" in kept.problem)

    # when: the journal is back, and the turn that follows takes long
    await journal.commit(renaming("leases_away", "leases"))
    kept.hasten.set()
    await until(lambda: work.at_once == 1)

    # then
    assert not kept.problem
    work.goes_on.set()
    stop.set()
    await keeping


async def test_a_failure_is_no_problem_any_more_once_another_does_the_duty(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a holder whose work fails
    monkeypatch.setattr("quell.runtime.duty.LEASE", timedelta(seconds=0.4))
    monkeypatch.setattr("quell.runtime.duty.LOOK_EVERY", 0.05)
    stop = asyncio.Event()

    async def work() -> None:
        raise StateError(what="The source", problem="is away", remedy="Wait for it.")

    failing = duty(work)
    keeping = asyncio.create_task(failing.keep(journal, ONE, stop))
    await until(lambda: bool(failing.problem))

    # when: another takes it over
    (held,) = await journal.ask(leases.listed(LAB))
    await journal.commit(leases.renew(LAB, held.name, ONE, held.fence, timedelta(seconds=-1)))
    taken = await journal.commit(leases.claim(LAB, held.name, TWO, timedelta(hours=1)))

    # then
    assert taken is not None
    await until(lambda: not failing.problem)
    stop.set()
    await keeping
