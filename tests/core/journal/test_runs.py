"""Runs in the journal: claims, fences, due runs, cancelling, on every engine."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.domain.ids import RunId, TenantId, WorkerId
from quell.domain.run import RUN_MOVES, RunState
from quell.errors import FenceLost, NotFoundError, StateError
from quell.journal import Journal, Write, due, notices, progress, runs
from quell.journal.due import Due
from quell.journal.progress import Advance
from quell.journal.run_events import RunEvent
from quell.journal.runs import NewRun, RunRef

TENANT = TenantId("contoso")
ONE, TWO = WorkerId("one"), WorkerId("two")
LONG, PAST = timedelta(seconds=60), timedelta(seconds=-1)
REF = RunRef(TENANT, RunId("r1"))


def create(journal: Journal, run_id: str = "r1", cause: str = "") -> RunRef:
    run = NewRun(id=RunId(run_id), playbook_id="p", digest="d", cause=cause or run_id)
    assert journal.commit_now(runs.create(TENANT, run))
    return RunRef(TENANT, RunId(run_id))


def test_a_cause_starts_one_run(journal: Journal) -> None:
    # given
    create(journal, "r1", cause="same")

    # when
    again = NewRun(id=RunId("r2"), playbook_id="p", digest="d", cause="same")

    # then
    assert not journal.commit_now(runs.create(TENANT, again))
    assert [row.id for row in journal.ask_now(runs.listed(TENANT))] == ["r1"]


def test_a_run_that_is_held_cannot_be_claimed_and_one_past_its_lease_can(
    journal: Journal,
) -> None:
    # given
    ref = create(journal)
    first = journal.commit_now(runs.claim(ref, ONE, LONG))
    assert first is not None
    assert journal.commit_now(runs.claim(ref, TWO, LONG)) is None

    # when
    journal.commit_now(runs.renew(ONE, [ref.run_id], PAST))
    second = journal.commit_now(runs.claim(ref, TWO, LONG))

    # then
    assert second is not None
    assert second.run.fence == first.run.fence + 1
    assert second.run.takeovers == 1
    stale = progress.advance(ref, first.run.fence, Advance(events=(RunEvent("x"),)), worker=ONE)
    with pytest.raises(FenceLost):
        journal.commit_now(stale)
    assert "x" not in [event.kind for event in journal.ask_now(runs.events(ref))]


@pytest.mark.anyio
async def test_of_many_who_claim_at_once_one_has_the_run(
    open_journal: Callable[[], Journal],
) -> None:
    # given
    journals = [open_journal() for _ in range(3)]
    ref = create(journals[0])

    # when
    claims = await asyncio.gather(
        *(
            journal.commit(runs.claim(ref, WorkerId(f"w{number}"), LONG))
            for number, journal in enumerate(journals * 4)
        )
    )

    # then
    assert len([one for one in claims if one is not None]) == 1


def test_a_run_taken_over_too_often_is_parked_and_a_person_lets_it_go_on(
    journal: Journal,
) -> None:
    # given
    ref = create(journal)
    for _ in range(4):
        assert journal.commit_now(runs.claim(ref, ONE, PAST)) is not None

    # when
    assert journal.commit_now(runs.claim(ref, TWO, LONG)) is None

    # then
    assert journal.ask_now(runs.get(ref)).state is RunState.PARKED
    assert [one.notice.kind for one in journal.ask_now(notices.listed(TENANT))] == ["parked"]
    journal.commit_now(runs.resume(ref, by="ann", chain=ONE))
    assert journal.ask_now(runs.get(ref)).state is RunState.QUEUED
    with pytest.raises(StateError):
        journal.commit_now(runs.resume(ref, by="ann", chain=ONE))


def found(journal: Journal, kind: Due) -> list[RunRef]:
    """Sweep once."""
    return [one.ref for one in journal.commit_now(due.find(TENANT, kind, limit=10))]


def test_a_waiting_run_is_due_when_its_time_has_come(journal: Journal) -> None:
    # given
    early, late = create(journal, "early"), create(journal, "late")
    for ref, wait in ((early, PAST), (late, LONG)):
        claim = journal.commit_now(runs.claim(ref, ONE, LONG))
        assert claim is not None
        now = journal.now()
        assert journal.commit_now(runs.rest(ref, claim.run.fence, now + wait))

    # then
    assert not journal.ask_now(due.is_there(TenantId("fabrikam"), Due.WOKEN))
    assert found(journal, Due.WOKEN) == [early]
    assert not journal.ask_now(due.is_there(TENANT, Due.WOKEN))
    assert journal.commit_now(runs.claim(late, TWO, LONG)) is None
    assert journal.commit_now(runs.claim(early, TWO, LONG)) is not None


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def test_a_run_that_is_called_back_is_found_at_the_next_sweep() -> None:
    # given a run that was swept a moment ago, was driven, and rests
    clock = HandClock()
    journal = Journal.open("sqlite://", clock=clock)
    ref = create(journal)
    clock.moment += timedelta(seconds=6)
    assert found(journal, Due.UNCLAIMED) == [ref]
    claim = journal.commit_now(runs.claim(ref, ONE, LONG))
    assert claim is not None
    assert journal.commit_now(runs.rest(ref, claim.run.fence, None))

    # when something that it waits for happens
    clock.moment += timedelta(seconds=1)
    journal.commit_now(moving(ref, RunState.QUEUED))

    # then
    assert found(journal, Due.UNCLAIMED) == [ref]
    assert found(journal, Due.UNCLAIMED) == []
    journal.close()


def test_a_run_past_its_lease_is_due(journal: Journal) -> None:
    # given
    ref = create(journal)

    # when
    journal.commit_now(runs.claim(ref, ONE, PAST))

    # then
    assert found(journal, Due.STALE) == [ref]


def test_whoever_drives_a_run_hears_of_its_cancelling_before_it_rests(journal: Journal) -> None:
    # given
    ref = create(journal)
    claim = journal.commit_now(runs.claim(ref, ONE, LONG))
    assert claim is not None

    # when
    assert journal.commit_now(runs.cancel(ref, by="ann", chain=TWO)) is RunState.RUNNING

    # then
    assert not journal.commit_now(runs.rest(ref, claim.run.fence, None))
    assert journal.commit_now(runs.reload(ref, claim.run.fence)).run.cancel_requested
    end = progress.advance(ref, claim.run.fence, Advance(finish=RunState.CANCELLED), worker=ONE)
    assert journal.commit_now(end).cancel_requested
    with pytest.raises(StateError):
        journal.commit_now(runs.cancel(ref, by="ann", chain=TWO))


def test_a_run_that_is_not_there_is_named(journal: Journal) -> None:
    with pytest.raises(NotFoundError, match="r1"):
        journal.ask_now(runs.get(REF))
    with pytest.raises(NotFoundError):
        journal.commit_now(runs.claim(REF, ONE, LONG))


def test_a_run_cannot_end_while_a_step_is_not_on_record_as_settled(journal: Journal) -> None:
    # given
    ref = create(journal)
    claim = journal.commit_now(runs.claim(ref, ONE, LONG))
    assert claim is not None

    # when
    end = progress.advance(
        ref, claim.run.fence, Advance(finish=RunState.DONE, settled=2), worker=ONE
    )

    # then
    with pytest.raises(StateError):
        journal.commit_now(end)
    assert journal.ask_now(runs.get(ref)).state is RunState.RUNNING


def moving(ref: RunRef, to: RunState) -> Write[bool]:
    return Write(lambda tx: runs.move(tx, ref, to))


@pytest.fixture(scope="module")
def memory() -> Iterator[Journal]:
    journal = Journal.open("sqlite://")
    yield journal
    journal.close()


@settings(deadline=None)
@given(st.lists(st.sampled_from(list(RunState)), max_size=12))
def test_no_order_of_moves_leads_where_the_table_does_not_allow(
    memory: Journal, moves: list[RunState]
) -> None:
    # given
    ref = create(memory, uuid.uuid4().hex)
    stands = RunState.QUEUED

    # when
    for to in moves:
        moved = memory.commit_now(moving(ref, to))
        assert moved == (to in RUN_MOVES[stands])
        stands = to if moved else stands

    # then
    assert memory.ask_now(runs.get(ref)).state is stands
