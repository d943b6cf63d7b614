"""Who may be claimed now: caps over the whole fleet, and suspects that have to run alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from quell.domain.ids import RunId, TenantId, WorkerId
from quell.domain.run import RunState
from quell.domain.urgency import URGENT, USUAL
from quell.journal import Journal, runs
from quell.journal.admission import Admission, Limits, Verdict
from quell.journal.run_rows import ActOrder
from quell.journal.runs import NewRun, RunOptions, RunRef

pytestmark = pytest.mark.anyio
TENANT = TenantId("contoso")
ONE, TWO = WorkerId("one"), WorkerId("two")
LONG, PAST = timedelta(seconds=60), timedelta(seconds=-1)


def create(
    journal: Journal,
    name: str,
    *,
    playbook: str = "p",
    priority: int = USUAL,
    order: ActOrder | None = None,
) -> RunRef:
    run = NewRun(
        id=RunId(name),
        playbook_id=playbook,
        digest="d",
        cause=name,
        priority=priority,
        options=RunOptions(order=order),
    )
    journal.commit_now(runs.create(TENANT, run))
    return RunRef(TENANT, run.id)


async def admit(
    journal: Journal, ref: RunRef, limits: Limits, worker: WorkerId = ONE, *, is_alone: bool = False
) -> Verdict:
    admission = Admission(limits, is_alone=is_alone)
    claim = await journal.commit(admission.claim(ref, worker, LONG))
    assert (claim is not None) == (admission.verdict is Verdict.ADMITTED)
    return admission.verdict


async def test_a_cap_holds_over_workers_that_claim_at_the_same_moment(
    open_journal: Callable[[], Journal],
) -> None:
    # given: two workers, and more runs than there are places
    limits = Limits(in_flight=5)
    journals = [open_journal(), open_journal()]
    refs = [create(journals[0], f"r{number:02}", priority=URGENT) for number in range(16)]

    # when
    verdicts = await asyncio.gather(
        *(
            admit(journals[number % 2], ref, limits, (ONE, TWO)[number % 2])
            for number, ref in enumerate(refs)
        )
    )

    # then
    assert verdicts.count(Verdict.ADMITTED) == 5
    assert verdicts.count(Verdict.FULL) == 11
    states = [journals[0].ask_now(runs.get(ref)).state for ref in refs]
    assert states.count(RunState.RUNNING) == 5
    assert states.count(RunState.QUEUED) == 11


async def test_a_place_that_becomes_free_is_taken_again(journal: Journal) -> None:
    # given
    limits = Limits(by_playbook={"p": 1})
    first, second = create(journal, "r1"), create(journal, "r2")
    other = create(journal, "r3", playbook="q")
    assert await admit(journal, first, limits) is Verdict.ADMITTED
    assert await admit(journal, second, limits) is Verdict.FULL
    assert await admit(journal, other, limits) is Verdict.ADMITTED

    # when
    fence = journal.ask_now(runs.get(first)).fence
    await journal.commit(runs.rest(first, fence, None))

    # then
    assert await admit(journal, second, limits) is Verdict.ADMITTED


async def test_a_fifth_of_the_places_is_kept_for_containment_and_people_are_not_counted_out(
    journal: Journal,
) -> None:
    # given: all places but the last are taken
    limits = Limits(in_flight=5)
    for number in range(4):
        assert await admit(journal, create(journal, f"r{number}"), limits) is Verdict.ADMITTED

    # when
    note = await admit(journal, create(journal, "note"), limits)
    contain = await admit(journal, create(journal, "contain", priority=URGENT), limits)
    more = await admit(journal, create(journal, "more", priority=URGENT), limits)
    order = ActOrder(action="device.isolate", system="lab", targets=())
    ordered = await admit(journal, create(journal, "ordered", order=order), limits)

    # then
    assert (note, contain, more) == (Verdict.FULL, Verdict.ADMITTED, Verdict.FULL)
    assert ordered is Verdict.ADMITTED


async def test_a_run_taken_over_twice_without_progress_is_had_only_by_who_is_alone(
    journal: Journal,
) -> None:
    # given: its worker was lost twice
    ref = create(journal, "r1")
    verdicts: list[Verdict] = []
    for worker in (ONE, TWO):
        verdicts.append(await admit(journal, ref, Limits(), worker))
        await journal.commit(runs.renew(worker, [ref.run_id], PAST))

    # when
    among_others = await admit(journal, ref, Limits())
    alone = await admit(journal, ref, Limits(), is_alone=True)

    # then
    assert verdicts == [Verdict.ADMITTED] * 2
    assert among_others is Verdict.SUSPECT
    assert alone is Verdict.ADMITTED
    assert journal.ask_now(runs.get(ref)).takeovers == 2


async def test_a_suspect_that_brings_down_who_drives_it_alone_too_is_parked_in_the_end(
    journal: Journal,
) -> None:
    # given
    ref = create(journal, "r1")

    # when
    verdicts = [await admit_and_die(journal, ref) for _ in range(5)]

    # then
    assert verdicts == [Verdict.ADMITTED] * 4 + [Verdict.NOT_DUE]
    row = journal.ask_now(runs.get(ref))
    assert row.state is RunState.PARKED
    assert "3 times without progress" in row.error


async def admit_and_die(journal: Journal, ref: RunRef) -> Verdict:
    admission = Admission(is_alone=True)
    claim = await journal.commit(admission.claim(ref, ONE, LONG))
    await journal.commit(runs.renew(ONE, [ref.run_id], PAST))
    return admission.verdict if claim is not None else Verdict.NOT_DUE
