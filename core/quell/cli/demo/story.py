"""The demo's course: beats of the tenant's story, a person who answers, and a crash in the middle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from quell.cli.demo.stage import Stage
from quell.domain.approval import Answer
from quell.domain.ids import RunId
from quell.domain.run import RunState
from quell.domain.simulator import SimulatorControl
from quell.errors import StateError
from quell.journal import approvals, cursors, incident_writes, incidents, runs, starts
from quell.runtime import Runtime, TenantRuntime

__all__ = ["PERSON", "Course", "play"]

#: the demo's person, as approvals record it
PERSON = "demo (soc)"
#: seconds between two looks at the journal
LOOK_EVERY = 0.25
#: seconds that one beat may take to be seen in both queues before the next one comes anyway
BEAT_PATIENCE = 8.0
#: seconds for everything that is under way to end
QUIET_PATIENCE = 120.0
#: the beat in the middle of whose consequences the worker is killed
KILL_AFTER = "arrive_more"

Say = Callable[[str], None]


@dataclass(slots=True)
class Course:
    """What happened on the way, as the journal showed it."""

    #: runs that were under way when the worker was killed
    open_at_kill: set[RunId] = field(default_factory=set[RunId])
    was_killed: bool = False
    #: whether anything was under way then, in runs or in sync
    was_busy_at_kill: bool = False
    approved: int = 0
    is_quiet: bool = False


async def play(stage: Stage, runtime: Runtime, control: SimulatorControl, say: Say) -> Course:
    """Play the whole story; returns when nothing is under way any more, or patience has run out."""
    course = Course()
    tenant = runtime.tenant()
    answering = asyncio.create_task(_answer_questions(runtime, tenant, course, say))
    try:
        # what was there before the first poll is no news, and starts nothing by itself
        await _wait(lambda: _was_polled(runtime, tenant), stage, BEAT_PATIENCE)
        await _play_beats(stage, runtime, control, course, say)
        if not course.was_killed:
            # recorded incidents: there before the first poll, so a person lets the playbooks go
            await _wait(lambda: _is_mirrored(control), stage, BEAT_PATIENCE)
            await _release_held(runtime, tenant, say)
            await _kill(stage, runtime, tenant, course, say)
        course.is_quiet = await _wait(
            lambda: _is_quiet(runtime, tenant, control), stage, QUIET_PATIENCE
        )
    finally:
        answering.cancel()
    return course


async def _play_beats(
    stage: Stage, runtime: Runtime, control: SimulatorControl, course: Course, say: Say
) -> None:
    tenant = runtime.tenant()
    for beat in await control.beats():
        say(beat.sentence)
        await control.play(beat.name)
        if beat.name == KILL_AFTER:
            await _kill(stage, runtime, tenant, course, say)
        await _wait(lambda: _is_mirrored(control), stage, BEAT_PATIENCE)


async def _kill(
    stage: Stage, runtime: Runtime, tenant: TenantRuntime, course: Course, say: Say
) -> None:
    """Kill the worker while runs are under way, then start another."""

    async def has_open_runs() -> bool:
        return len(await _open_runs(runtime, tenant)) >= 2

    await _wait(has_open_runs, stage, BEAT_PATIENCE)
    stage.kill_worker()
    course.was_killed = True
    course.open_at_kill = set(await _open_runs(runtime, tenant))
    has_writes = await runtime.journal.ask(incident_writes.has_open(tenant.id))
    course.was_busy_at_kill = bool(course.open_at_kill) or has_writes
    say(
        f"The worker is killed (SIGKILL) with {len(course.open_at_kill)} runs under way; another starts."
    )
    stage.start_worker()


async def _answer_questions(
    runtime: Runtime, tenant: TenantRuntime, course: Course, say: Say
) -> None:
    """Be the person who is asked: approve what playbooks ask, and say so."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        for question in await runtime.journal.ask(approvals.listed(tenant.id, state=Answer.OPEN)):
            answer = approvals.answer(
                tenant.id, question.id, Answer.APPROVED, by=PERSON, chain=runtime.worker_id
            )
            try:
                await runtime.journal.commit(answer)
            except StateError:
                continue  # it was withdrawn or has expired meanwhile
            course.approved += 1
            names = ", ".join(
                target.name or target.target_id for target in question.question.targets
            )
            say(f"Approved: {question.question.action} on {names}")


async def _release_held(runtime: Runtime, tenant: TenantRuntime, say: Say) -> None:
    for held in await runtime.journal.ask(starts.held(tenant.id)):
        say(f"Released: {held.playbook_id}, which {held.reason} had held back")
        await tenant.engine.release_start(held.playbook_id, held.incident_id, by=PERSON)


async def _was_polled(runtime: Runtime, tenant: TenantRuntime) -> bool:
    reads = [
        await runtime.journal.ask(cursors.get(tenant.id, source.source_id))
        for source, _ in tenant.sources
    ]
    return all(read.succeeded_at is not None for read in reads)


async def _is_mirrored(control: SimulatorControl) -> bool:
    facts = await control.facts()
    return facts.copies >= facts.incidents


async def _is_quiet(runtime: Runtime, tenant: TenantRuntime, control: SimulatorControl) -> bool:
    ask = runtime.journal.ask
    return not (
        not await _is_mirrored(control)
        or bool(await ask(incidents.unmatched(tenant.id, 1)))
        or await ask(incident_writes.has_open(tenant.id))
        or await _open_runs(runtime, tenant)
    )


async def _open_runs(runtime: Runtime, tenant: TenantRuntime) -> list[RunId]:
    listed = await runtime.journal.ask(runs.listed(tenant.id, limit=1000))
    return [run.id for run in listed if not run.state.is_final and run.state is not RunState.PARKED]


async def _wait(holds: Callable[[], Awaitable[bool]], stage: Stage, seconds: float) -> bool:
    """Wait until something holds at two looks in a row; False when it took too long."""
    deadline = time.monotonic() + seconds
    seen = 0
    while time.monotonic() < deadline:
        stage.check_worker()
        seen = seen + 1 if await holds() else 0
        if seen == 2:
            return True
        await asyncio.sleep(LOOK_EVERY)
    return False
