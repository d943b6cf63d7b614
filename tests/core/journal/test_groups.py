"""Groups of writes: what is done once for all of them, and that each still stands for itself."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from quell.domain.ids import RunId, StepKey, TenantId, WorkerId
from quell.domain.run import RunState, StepState
from quell.errors import StateError
from quell.journal import Journal, Transaction, Write, progress, run_events, run_rows, runs
from quell.journal.prepared import its, same
from quell.journal.progress import Advance
from quell.journal.run_events import RunEvent
from quell.journal.runs import Claim, NewRun, RunRef
from quell.journal.steps import StepRow
from quell.journal.tables import counters
from quell.journal.tables import runs as run_table

TENANT, WORKER = TenantId("contoso"), WorkerId("one")
LONG = timedelta(seconds=60)
NOTHING_THERE = StateError(what="counter", problem="is not there", remedy="none")
CHANGE = sa.update(counters).where(same(counters.c.tenant_id, counters.c.name))


def create(journal: Journal, *names: str) -> list[RunRef]:
    for name in names:
        run = NewRun(id=RunId(name), playbook_id="p", digest="d", cause=name)
        assert journal.commit_now(runs.create(TENANT, run))
    return [RunRef(TENANT, RunId(name)) for name in names]


def together(journal: Journal, writes: Sequence[Write[Any]]) -> list[Future[Any]]:
    """Commit writes in one group: they wait while another write is under way."""
    gate = threading.Event()
    first = journal.submit(Write(lambda tx: gate.wait(10)))
    futures = [journal.submit(write) for write in writes]
    gate.set()
    first.result(30)
    for future in futures:
        future.exception(30)
    return futures


@contextmanager
def counted(journal: Journal) -> Generator[list[str]]:
    """Note each statement that is sent to the database."""
    sent: list[str] = []

    def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(sa.Engine, "before_cursor_execute", note)


def kinds(journal: Journal, ref: RunRef) -> list[tuple[int, str]]:
    return [(one.seq, one.kind) for one in journal.ask_now(runs.events(ref))]


def test_what_waits_is_written_before_somebody_looks(journal: Journal) -> None:
    # given
    (ref,) = create(journal, "r1")

    def apply(tx: Transaction) -> list[str]:
        run_events.append(tx, TENANT, ref.run_id, [RunEvent("one"), RunEvent("two")])
        return [one.kind for one in run_events.of_run(TENANT, ref.run_id)(tx)]

    # when
    seen = journal.commit_now(Write(apply))

    # then
    assert seen == ["run_queued", "one", "two"]


def test_events_of_one_group_are_numbered_without_a_gap(journal: Journal) -> None:
    # given
    first, second = create(journal, "r1", "r2")

    def say(ref: RunRef, kind: str) -> Write[None]:
        return Write(
            lambda tx: run_events.append(tx, TENANT, ref.run_id, [RunEvent(kind)]),
            locks=run_rows.locks_of(ref),
        )

    # when
    together(journal, [say(first, "a"), say(second, "b"), say(first, "c"), say(second, "d")])

    # then
    assert kinds(journal, first) == [(1, "run_queued"), (2, "a"), (3, "c")]
    assert kinds(journal, second) == [(1, "run_queued"), (2, "b"), (3, "d")]


def test_a_guarded_change_that_waited_and_hit_nothing_fails_alone(journal: Journal) -> None:
    # given
    (ref,) = create(journal, "r1")

    def miss(tx: Transaction) -> None:
        run_events.append(tx, TENANT, ref.run_id, [RunEvent("never")])
        tx.later(CHANGE, {**its(tenant_id=TENANT, name="none"), "count": 1}, NOTHING_THERE)

    def say(tx: Transaction) -> None:
        run_events.append(tx, TENANT, ref.run_id, [RunEvent("said")])

    # when
    missed, said = together(journal, [Write(miss), Write(say)])

    # then
    assert missed.exception() is NOTHING_THERE
    assert said.exception() is None
    assert kinds(journal, ref) == [(1, "run_queued"), (2, "said")]


def test_a_row_that_was_read_ahead_is_read_again_after_it_changed(journal: Journal) -> None:
    # given
    refs = create(journal, "r1", "r2")
    everything = sa.update(run_table).values(takeovers=3)

    def look(ref: RunRef) -> Write[int]:
        return Write(
            lambda tx: run_rows.lock(tx, ref).takeovers,
            locks=run_rows.locks_of(ref),
            ahead=run_rows.lock_ahead,
        )

    def change(tx: Transaction) -> None:
        tx.execute(everything)

    # when: it comes between the two, as the locks order them
    between = Write(change, locks=("run", TENANT, "r1", "z"))
    before, _, after = together(journal, [look(refs[0]), between, look(refs[1])])

    # then
    assert (before.result(), after.result()) == (0, 3)


def test_a_run_does_not_end_while_a_step_is_missing_on_record(journal: Journal) -> None:
    # given
    refs = create(journal, "r1", "r2")
    claims = [journal.commit_now(runs.claim(ref, WORKER, LONG)) for ref in refs]
    step = StepRow(key=StepKey("a"), state=StepState.DONE)

    def end(claim: Claim | None, settled: int) -> Write[Any]:
        assert claim is not None
        change = Advance(steps=(step,), finish=RunState.DONE, settled=settled)
        return progress.advance(claim.run.ref, claim.run.fence, change, worker=WORKER)

    # when
    whole, lacking = together(journal, [end(claims[0], 1), end(claims[1], 2)])

    # then
    assert whole.exception() is None
    assert isinstance(lacking.exception(), StateError)
    states = [journal.ask_now(runs.get(ref)).state for ref in refs]
    assert states == [RunState.DONE, RunState.RUNNING]
    assert "run_ended" not in [kind for _, kind in kinds(journal, refs[1])]


def test_claims_of_many_runs_take_as_many_statements_as_claims_of_few(journal: Journal) -> None:
    # given
    few = create(journal, *(f"few{number}" for number in range(3)))
    many = create(journal, *(f"many{number:02}" for number in range(40)))

    def claim_all(refs: Sequence[RunRef]) -> int:
        with counted(journal) as sent:
            taken = together(journal, [runs.claim(ref, WORKER, LONG) for ref in refs])
        assert all(one.result() is not None for one in taken)
        return len([one for one in sent if "runs" in one])

    # when / then
    assert claim_all(few) == claim_all(many)


@pytest.mark.anyio
async def test_a_claim_says_what_the_next_reader_sees(journal: Journal) -> None:
    # given
    (ref,) = create(journal, "r1")

    # when
    claim = await journal.commit(runs.claim(ref, WORKER, LONG))

    # then
    assert claim is not None
    assert claim.run == await journal.ask(runs.get(ref))
