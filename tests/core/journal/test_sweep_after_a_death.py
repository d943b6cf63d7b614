"""A run whose worker died is found as soon as its lease ends, however lately it was found before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from quell.domain.ids import RunId, TenantId, WorkerId
from quell.journal import Journal, due, runs
from quell.journal.due import Due, Waking
from quell.journal.runs import NewRun, RunRef

TENANT = TenantId("contoso")
LEASE = timedelta(seconds=20)


class HandClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """Tell the moment that it was moved to."""
        return self.moment

    async def sleep(self, seconds: float) -> None:
        """Nobody waits by this clock."""
        raise AssertionError


def test_a_run_that_was_found_while_it_queued_is_found_again_when_its_lease_ends() -> None:
    # given: found by the sweep on a busy fleet, claimed then, and its worker dies
    clock = HandClock()
    journal = Journal.open("sqlite://", clock=clock)
    ref = RunRef(TENANT, RunId("r1"))
    new = NewRun(id=ref.run_id, playbook_id="p", digest="d", cause="c")
    journal.commit_now(runs.create(TENANT, new))
    clock.moment += timedelta(seconds=6)
    found = [Waking(ref, new.priority)]
    assert journal.commit_now(due.find(TENANT, Due.UNCLAIMED, limit=10)) == found
    assert journal.commit_now(runs.claim(ref, WorkerId("one"), LEASE)) is not None

    # when
    clock.moment += LEASE + timedelta(seconds=1)

    # then: once, and not at every look
    assert journal.commit_now(due.find(TENANT, Due.STALE, limit=10)) == found
    assert journal.commit_now(due.find(TENANT, Due.STALE, limit=10)) == []
    journal.close()
