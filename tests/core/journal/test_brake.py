"""Switches, holds, approvals and stored playbooks, on every engine."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from quell.domain.approval import Answer, Otherwise
from quell.domain.decision import Reason
from quell.domain.hold import Hold, HoldOwner
from quell.domain.ids import ApprovalId, RunId, StepKey, TenantId, WorkerId
from quell.domain.run import RunState
from quell.errors import NotFoundError, StateError
from quell.journal import Journal, Write, approvals, audit, holds, playbooks, runs, switches
from quell.journal.approvals import AskedTarget, QuestionBody
from quell.journal.runs import NewRun, RunRef
from quell.journal.tables import switches as switch_table

TENANT = TenantId("contoso")
ONE = WorkerId("one")
REF = RunRef(TENANT, RunId("r1"))
STATE = "device.isolated"


def test_a_tenant_starts_disarmed_and_not_halted(journal: Journal) -> None:
    assert not journal.ask_now(switches.is_armed(TENANT))
    assert not journal.ask_now(switches.is_halted(TENANT))


def test_arming_is_on_record_and_ends_with_disarming(journal: Journal) -> None:
    # when
    journal.commit_now(switches.arm(TENANT, by="ann", reason="go", chain=ONE))

    # then
    assert journal.ask_now(switches.is_armed(TENANT))
    assert not journal.ask_now(switches.is_armed(TenantId("fabrikam")))
    assert journal.ask_now(audit.listed(TENANT))[0].action == "armed.on"

    # when
    journal.commit_now(switches.disarm(TENANT, by="ann", reason="stop", chain=ONE))

    # then
    assert not journal.ask_now(switches.is_armed(TENANT))
    assert not journal.commit_now(switches.arm_once(TENANT, by="quell", reason="simulated"))
    assert not journal.ask_now(switches.is_armed(TENANT))


def test_a_switch_that_cannot_be_read_stops_effects(journal: Journal) -> None:
    # given
    journal.commit_now(switches.arm(TENANT, by="ann", reason="", chain=ONE))
    journal.commit_now(switches.resume(TENANT, by="ann", reason="", chain=ONE))

    # when
    spoil = switch_table.update().values(value={"on": "maybe"})
    journal.commit_now(Write(lambda tx: tx.execute(spoil) and None))

    # then
    assert not journal.ask_now(switches.is_armed(TENANT))
    assert journal.ask_now(switches.is_halted(TENANT))


def adding(hold: Hold) -> Write[bool]:
    return Write(lambda tx: holds.add(tx, TENANT, hold, effect_key=None))


def test_a_hold_is_its_owners_alone(journal: Journal) -> None:
    # given
    for owner_id in ("r1", "r2", "r1"):
        hold = Hold(entity_id="e", state=STATE, owner=HoldOwner.RUN, owner_id=owner_id)
        journal.commit_now(adding(hold))

    # when
    dropped = journal.commit_now(
        Write(lambda tx: holds.drop(tx, TENANT, "e", STATE, owner=HoldOwner.RUN, owner_id="r1"))
    )

    # then
    assert dropped == 1
    assert [one.owner_id for one in journal.ask_now(holds.listed(TENANT))] == ["r2"]


def ask(journal: Journal, *, within: timedelta = timedelta(minutes=5)) -> ApprovalId:
    run = NewRun(id=REF.run_id, playbook_id="p", digest="d", cause="c")
    journal.commit_now(runs.create(TENANT, run))
    claim = journal.commit_now(runs.claim(REF, ONE, timedelta(minutes=1)))
    assert claim is not None
    reasons = (Reason(code="server", text="it is a server"),)
    question = QuestionBody(
        action="device.isolate",
        system="lab",
        params={},
        params_digest="",
        targets=(AskedTarget(target_id="e", name="pc", reasons=reasons),),
    )
    approval_id = ApprovalId("a1")
    opened = Write(
        lambda tx: approvals.open_question(
            tx,
            REF,
            approval_id=approval_id,
            step_key=StepKey("isolate"),
            question=question,
            who="soc",
            within=within,
            otherwise=Otherwise.DENY,
            pages=False,
        )
    )
    journal.commit_now(opened)
    journal.commit_now(runs.rest(REF, claim.run.fence, None))
    return approval_id


def answer(approval_id: ApprovalId, decision: Answer, by: str) -> Write[RunRef]:
    return approvals.answer(TENANT, approval_id, decision, by=by, chain=ONE)


@pytest.mark.anyio
async def test_of_many_answers_one_counts_and_the_run_goes_on(journal: Journal) -> None:
    # given
    approval_id = ask(journal)

    # when
    answers = await asyncio.gather(
        *(
            journal.commit(answer(approval_id, decision, f"p{number}"))
            for number, decision in enumerate([Answer.APPROVED, Answer.DENIED] * 4)
        ),
        return_exceptions=True,
    )

    # then
    assert [one for one in answers if not isinstance(one, StateError)] == [REF]
    found = journal.ask_now(approvals.get(TENANT, approval_id))
    assert found.answered_by == "p0"
    assert found.state is Answer.APPROVED
    assert journal.ask_now(runs.get(REF)).state is RunState.QUEUED
    assert [one.action for one in journal.ask_now(audit.listed(TENANT))] == ["approval.answer"]


def test_a_question_past_its_time_takes_no_answer(journal: Journal) -> None:
    # given
    approval_id = ask(journal, within=timedelta(seconds=-1))

    # when / then
    with pytest.raises(StateError, match="expired"):
        journal.commit_now(answer(approval_id, Answer.APPROVED, "ann"))
    assert journal.ask_now(runs.get(REF)).state is RunState.WAITING


def test_cancelling_a_run_withdraws_its_questions(journal: Journal) -> None:
    # given
    approval_id = ask(journal)

    # when
    journal.commit_now(runs.cancel(REF, by="ann", chain=ONE))

    # then
    assert journal.ask_now(approvals.get(TENANT, approval_id)).state is Answer.WITHDRAWN
    assert journal.ask_now(runs.get(REF)).state is RunState.CANCELLED


def test_one_version_of_a_playbook_is_active_at_a_time(journal: Journal) -> None:
    # given
    for digest in ("d1", "d2"):
        journal.commit_now(playbooks.store(TENANT, "p", digest, f"source {digest}", name="p.yml"))
        journal.commit_now(playbooks.activate(TENANT, "p", digest, by="ann", chain=ONE))

    # then
    assert [one.digest for one in journal.ask_now(playbooks.active(TENANT))] == ["d2"]
    assert journal.ask_now(playbooks.source(TENANT, "p", "d1")) == "source d1"
    with pytest.raises(NotFoundError):
        journal.commit_now(playbooks.activate(TENANT, "p", "d3", by="ann", chain=ONE))

    # when
    assert journal.commit_now(playbooks.deactivate(TENANT, "p", by="ann", chain=ONE))

    # then
    assert journal.ask_now(playbooks.active(TENANT)) == []
    assert not journal.commit_now(playbooks.deactivate(TENANT, "p", by="ann", chain=ONE))
