"""What every journal promises, whatever the engine: time, runs that go on, writes that are cut off."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from quell.domain.ids import RunId, StepKey, TenantId, WorkerId
from quell.domain.run import RunState, StepState
from quell.errors import FenceLost
from quell.journal import Journal, Transaction, Write, progress, runs, steps
from quell.journal.progress import Advance, Attempt
from quell.journal.run_events import RunEvent
from quell.journal.runs import Claim, NewRun, RunRef
from quell.journal.steps import StepPlan, StepRow
from quell.journal.tables import attempts, run_events, switches

TENANT = TenantId("contoso")
ONE, TWO = WorkerId("one"), WorkerId("two")
LONG, PAST = timedelta(seconds=60), timedelta(seconds=-1)
REF = RunRef(TENANT, RunId("r1"))

Cut = Callable[[Transaction], None]


@pytest.fixture
def claimed(journal: Journal) -> Claim:
    """Give a run that worker one has claimed."""
    run = NewRun(id=REF.run_id, playbook_id="p", digest="d", cause="c")
    assert journal.commit_now(runs.create(TENANT, run))
    claim = journal.commit_now(runs.claim(REF, ONE, LONG))
    assert claim is not None
    return claim


def step(key: str = "a", state: StepState = StepState.DONE) -> StepRow:
    return StepRow(key=StepKey(key), state=state, attempt=1, plan=StepPlan(targets=("t",)))


def advance(fence: int, **change: object) -> Write[progress.Signals]:
    return progress.advance(REF, fence, Advance(**change), worker=ONE)  # type: ignore[arg-type] # its own fields


def test_time_is_the_databases_and_goes_on_for_everybody(
    open_journal: Callable[[], Journal],
) -> None:
    # given
    first, second = open_journal(), open_journal()

    # when
    moments = [one.now() for one in (first, second, first, second)]

    # then
    assert moments == sorted(moments)
    assert {moment.tzinfo for moment in moments} == {UTC}


def test_a_lease_counts_from_the_time_of_its_own_transaction(
    journal: Journal, claimed: Claim
) -> None:
    assert claimed.run.lease_until == claimed.at + LONG


def test_whoever_takes_a_run_over_finds_all_that_was_confirmed(
    journal: Journal, claimed: Claim
) -> None:
    # given
    done = advance(
        claimed.run.fence,
        steps=(step(),),
        attempts=(Attempt(step_key=StepKey("a"), number=1, outcome="done"),),
        events=(RunEvent("noted", {"n": 1}),),
    )
    journal.commit_now(done)
    journal.commit_now(runs.renew(ONE, [REF.run_id], PAST))

    # when
    taken = journal.commit_now(runs.claim(REF, TWO, LONG))

    # then
    assert taken is not None
    assert [(one.key, one.state) for one in taken.steps] == [("a", StepState.DONE)]
    assert taken.steps[0].plan == StepPlan(targets=("t",))
    assert (taken.run.owner, taken.run.takeovers) == (TWO, 1)


def test_what_a_stale_worker_writes_is_refused_as_a_whole(journal: Journal, claimed: Claim) -> None:
    # given
    journal.commit_now(runs.renew(ONE, [REF.run_id], PAST))
    assert journal.commit_now(runs.claim(REF, TWO, LONG)) is not None

    # when
    with pytest.raises(FenceLost):
        journal.commit_now(
            advance(claimed.run.fence, steps=(step(),), events=(RunEvent("stale", {}),))
        )

    # then
    assert journal.ask_now(steps.listed(TENANT, REF.run_id)) == []
    assert "stale" not in [one.kind for one in journal.ask_now(runs.events(REF))]


def test_progress_makes_takeovers_count_from_nothing_again(
    journal: Journal, claimed: Claim
) -> None:
    # given
    journal.commit_now(runs.renew(ONE, [REF.run_id], PAST))
    taken = journal.commit_now(runs.claim(REF, ONE, LONG))
    assert taken is not None
    assert taken.run.takeovers == 1

    # when
    journal.commit_now(advance(taken.run.fence, steps=(step(),)))

    # then
    assert journal.ask_now(runs.get(REF)).takeovers == 0


@pytest.mark.parametrize("stands", [RunState.QUEUED, RunState.WAITING])
def test_a_run_that_is_cancelled_at_rest_ends_there(
    journal: Journal, claimed: Claim, stands: RunState
) -> None:
    # given
    leave = (
        runs.release(REF, claimed.run.fence)
        if stands is RunState.QUEUED
        else runs.rest(REF, claimed.run.fence, None)
    )
    assert journal.commit_now(leave)

    # when
    state = journal.commit_now(runs.cancel(REF, by="ann", chain=TWO))

    # then
    assert state is RunState.CANCELLED
    assert journal.commit_now(runs.claim(REF, TWO, LONG)) is None


def test_a_cancelled_run_whose_worker_died_is_claimed_to_be_brought_to_its_end(
    journal: Journal, claimed: Claim
) -> None:
    # given
    journal.commit_now(runs.cancel(REF, by="ann", chain=TWO))
    journal.commit_now(runs.renew(ONE, [REF.run_id], PAST))

    # when
    taken = journal.commit_now(runs.claim(REF, TWO, LONG))

    # then
    assert taken is not None
    assert taken.run.cancel_requested
    end = progress.advance(REF, taken.run.fence, Advance(finish=RunState.CANCELLED), worker=TWO)
    journal.commit_now(end)
    assert journal.ask_now(runs.get(REF)).state is RunState.CANCELLED


def test_a_run_given_back_in_good_order_is_free_at_once_and_counts_no_takeover(
    journal: Journal, claimed: Claim
) -> None:
    # when
    assert journal.commit_now(runs.release(REF, claimed.run.fence))
    taken = journal.commit_now(runs.claim(REF, TWO, LONG))

    # then
    assert taken is not None
    assert (taken.run.takeovers, taken.run.fence) == (0, claimed.run.fence + 1)


def test_the_same_try_of_a_step_stands_on_record_once(journal: Journal, claimed: Claim) -> None:
    # given
    tried = Attempt(step_key=StepKey("a"), number=1, outcome="failed")
    change = {"steps": (step(state=StepState.RUNNING),), "attempts": (tried,)}

    # when
    for _ in range(2):
        journal.commit_now(advance(claimed.run.fence, **change))

    # then
    rows = sa.select(sa.func.count()).select_from(attempts)
    assert journal.ask_now(lambda tx: tx.execute(rows).scalar_one()) == 1


def cut_before_the_end(url: str) -> Cut:
    """Give what ends the connection that a transaction runs on, as a server's restart does."""

    def cut(tx: Transaction) -> None:
        pid = tx.conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        killer = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with killer.connect() as conn:
            conn.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
        killer.dispose()

    return cut


def test_a_group_whose_connection_is_cut_is_written_once_and_as_a_whole(
    request: pytest.FixtureRequest,
) -> None:
    # given
    from tests.servers import fresh_database

    with fresh_database(request.getfixturevalue("postgres")) as url:
        journal = Journal.open(url)
        cut, tries = cut_before_the_end(url), 0
        run = NewRun(id=REF.run_id, playbook_id="p", digest="d", cause="c")

        def count(tx: Transaction, made: bool) -> None:
            nonlocal tries
            tries += 1
            if tries == 1:
                cut(tx)

        # when
        made = journal.commit_now(runs.create(TENANT, run).then(count))

        # then
        assert (made, tries) == (True, 2)
        rows = sa.select(sa.func.count()).select_from(run_events)
        assert journal.ask_now(lambda tx: tx.execute(rows).scalar_one()) == 1
        journal.close()


def test_a_failing_member_of_a_group_takes_back_only_what_is_its_own(
    journal: Journal, claimed: Claim
) -> None:
    # given
    def turn(name: str) -> Write[bool]:
        row = {"tenant_id": TENANT, "name": name, "value": 1, "by": "t", "reason": ""}
        return Write(lambda tx: tx.changed(sa.insert(switches).values(**row, at=tx.now)))

    good, bad = claimed.run.fence, claimed.run.fence + 7

    # when
    futures: list[Future[Any]] = [
        journal.submit(turn("first")),
        journal.submit(advance(bad, events=(RunEvent("bad", {}),))),
        journal.submit(advance(good, events=(RunEvent("good", {}),), steps=(step(),))),
        journal.submit(turn("last")),
    ]
    errors = [future.exception(30) for future in futures]

    # then
    assert [type(error).__name__ for error in errors] == [
        "NoneType",
        "FenceLost",
        "NoneType",
        "NoneType",
    ]
    kinds = [one.kind for one in journal.ask_now(runs.events(REF))]
    assert ("good" in kinds, "bad" in kinds) == (True, False)
    assert len(journal.ask_now(steps.listed(TENANT, REF.run_id))) == 1
