"""Driving one run: every step that can start is started, until the run ends, waits or is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

import msgspec
import structlog

from quell.domain.action import Action, Effect
from quell.domain.approval import Answer
from quell.domain.ids import StepKey
from quell.domain.run import RunState, StepState, TargetResult
from quell.engine.context import RunContext
from quell.engine.effecting import EffectStep
from quell.engine.plan import Node, is_over, outcome, ready
from quell.engine.reading import ReadingStep
from quell.engine.shell import SHORT, Shell, settled_row
from quell.errors import ExpressionError, FenceLost
from quell.journal import progress, runs
from quell.journal.approvals import Approval
from quell.journal.progress import Advance
from quell.journal.run_events import RunEvent
from quell.journal.steps import StepPlan, StepRow, TargetEntry

__all__ = ["Drive"]

logger = structlog.get_logger(__name__)

#: steps of one run that are worked on side by side
STEPS_AT_ONCE = 16
#: calls of one run that are out at a time
CALLS_AT_ONCE = 8


@dataclass(slots=True, kw_only=True)
class Drive:
    """One claim of one run."""

    shell: Shell
    context: RunContext
    #: asked before a new step begins: the process is about to stop
    draining: asyncio.Event
    _active: set[StepKey] = field(default_factory=set[StepKey])
    _waits: dict[StepKey, datetime] = field(default_factory=dict[StepKey, datetime])
    _parked: str = ""
    _steps: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(STEPS_AT_ONCE))
    _calls: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CALLS_AT_ONCE))

    async def go(self) -> RunState:
        """Run until the run ends or holds nothing any more. Raises FenceLost."""
        while True:
            await self._close_questions()
            await self._run_ready()
            if is_over(self.context.steps, self.context.known):
                return outcome(self.context.known)
            ended = await self._leave()
            if ended is not None:
                return ended
            # something came in while we were about to wait
            reload = runs.reload(self.context.ref, self.context.row.fence)
            self.context.take(await self.shell.commit(reload))
            self._waits.clear()

    async def _leave(self) -> RunState | None:
        """Let go of a run that cannot go on now; None when it can after all."""
        ref, fence = self.context.ref, self.context.row.fence
        if self._parked:
            self.shell.notify(await self.shell.commit(runs.park(ref, fence, self._parked)))
            return RunState.PARKED
        is_open = any(not row.state.is_settled for row in self.context.effects.values())
        if self.context.is_cancelled and not is_open:
            return await self._cancel()
        if self.draining.is_set():
            await self.shell.commit(runs.release(ref, fence))
            return RunState.QUEUED
        wake_at = min(self._waits.values(), default=None)
        if await self.shell.commit(runs.rest(ref, fence, wake_at)):
            return RunState.WAITING
        return None

    async def _cancel(self) -> RunState:
        change = Advance(finish=RunState.CANCELLED)
        await self.shell.commit(
            progress.advance(
                self.context.ref, self.context.row.fence, change, worker=self.shell.worker
            )
        )
        return RunState.CANCELLED

    async def _close_questions(self) -> None:
        """Close questions whose time is over: their targets are denied, never done unasked."""
        now = self.shell.now()
        expired = tuple(
            one
            for one in self.context.approvals
            if one.state is Answer.OPEN and one.expires_at <= now
        )
        if not expired:
            return
        write = progress.close_questions(self.context.ref, self.context.row.fence, expired)
        for notice in await self.shell.commit(write):
            self.shell.notify(notice)
        self.context.approvals = [
            _expired(one) if one in expired else one for one in self.context.approvals
        ]

    # -- steps -------------------------------------------------------------------------------

    async def _run_ready(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._launch(group)
        except BaseExceptionGroup as failed:
            raise _first(failed) from failed

    def _launch(self, group: asyncio.TaskGroup) -> None:
        for node in ready(self.context.steps, self.context.known):
            if node.key in self._active or node.key in self._waits or not self._may_go(node):
                continue
            self._active.add(node.key)
            group.create_task(self._work(group, node))

    def _may_go(self, node: Node) -> bool:
        """Tell whether a step may be worked on: once we stop, only what is open is settled."""
        if self._parked or self.draining.is_set():
            return False
        if not self.context.is_cancelled:
            return True
        return any(not row.state.is_settled for row in self.context.effects_of(node.key))

    async def _work(self, group: asyncio.TaskGroup, node: Node) -> None:
        try:
            async with self._steps:
                wait = await self._step(node)
        except ExpressionError as error:
            self._parked = self._parked or str(error)
            wait = None
        finally:
            self._active.discard(node.key)
        if wait is not None:
            self._waits[node.key] = wait
        self._launch(group)

    async def _step(self, node: Node) -> datetime | None:
        """Work on one step. Gives when to go on with it, or None once it is settled or open."""
        row = self.context.known.get(node.key)
        if row is None:
            row = StepRow(key=node.key, state=StepState.RUNNING)
            if not self._holds(node):
                skipped = settled_row(row, StepState.SKIPPED, error="its condition does not hold")
                await self.shell.advance(self.context, steps=(skipped,))
                return None
        if node.step.wait is not None:
            return await self._pause(row, node.step.wait)
        if node.step.for_each is not None:
            await self._open_body(node, row)
            return None
        return await self._act(node, row)

    def _holds(self, node: Node) -> bool:
        if node.step.when is None:
            return True
        return self.context.program.condition(node.step, self.context.deciding_view(node))

    async def _pause(self, row: StepRow, lasting: timedelta) -> datetime | None:
        if row.plan is None or row.plan.until is None:
            until = self.shell.now() + lasting
            row = msgspec.structs.replace(
                row, state=StepState.WAITING, plan=StepPlan(until=until), wake_at=until
            )
            await self.shell.advance(self.context, steps=(row,))
        else:
            until = row.plan.until
        if until - self.shell.now() > SHORT:
            return until
        await self.shell.pause(until)
        await self.shell.advance(self.context, steps=(settled_row(row, StepState.DONE),))
        return None

    async def _open_body(self, node: Node, row: StepRow) -> None:
        items = self.context.program.items(node.step, self.context.deciding_view(node))
        row = msgspec.structs.replace(row, plan=StepPlan(items=tuple(items)))
        await self.shell.advance(self.context, steps=(row,))

    async def _act(self, node: Node, row: StepRow) -> datetime | None:
        """Hand the step to what its action needs; an action that is not there fails it."""
        system = row.plan.system if row.plan is not None else node.step.system
        action = self.shell.choose(node.step.do or "", system)
        if action is None:
            await self._fail(row, f"no single plugin offers {node.step.do} here")
            return None
        plan = row.plan or self._plan(node, action)
        skipped = self._out_of_scope(plan, action)
        left_out = {entry.target_id for entry in skipped}
        within = tuple(one for one in plan.targets if one not in left_out)
        plan = msgspec.structs.replace(plan, targets=within)
        if not within:
            done = settled_row(row, StepState.DONE, plan=plan, results=skipped)
            await self.shell.advance(self.context, steps=(done,))
            return None
        if action.effect is Effect.READ:
            return await self._read(node, row, action, plan, skipped)
        effect = EffectStep(
            shell=self.shell,
            context=self.context,
            node=node,
            action=action,
            plan=plan,
            row=row,
            skipped=skipped,
            slots=self._calls,
            rivals=self._rivals(action),
        )
        return await effect.run()

    async def _read(
        self,
        node: Node,
        row: StepRow,
        action: Action,
        plan: StepPlan,
        skipped: tuple[TargetEntry, ...],
    ) -> datetime | None:
        reading = ReadingStep(
            shell=self.shell,
            context=self.context,
            node=node,
            action=action,
            plan=plan,
            row=row,
            entries={one.target_id: one for one in (*row.results, *skipped)},
            slots=self._calls,
        )
        return await reading.run()

    def _plan(self, node: Node, action: Action) -> StepPlan:
        """Fix what the step means, before anything of it is done."""
        program, order = self.context.program, self.context.row.options.order
        if order is not None:
            ids = tuple(str(target["id"]) for target in order.targets)
            return StepPlan(targets=ids, params=order.params, system=action.system)
        view = self.context.run_view(node)
        if action.target is None:
            targets: tuple[str, ...] = (view.incident.id,)
        else:
            targets = program.targets(node.step, self.context.deciding_view(node))
        return StepPlan(
            targets=targets, params=program.params(node.step, view), system=action.system
        )

    def _out_of_scope(self, plan: StepPlan, action: Action) -> tuple[TargetEntry, ...]:
        """List targets that another run of the playbook has taken on."""
        trigger = self.context.program.playbook.trigger
        scope = self.context.row.scope
        if scope is None or trigger is None or action.target is None:
            return ()
        kinds = {one: summary.kind.value for one, summary in self.context.entities.items()}
        return tuple(
            TargetEntry(
                target_id=one,
                result=TargetResult.SKIPPED,
                reason="another run of this playbook has taken it on",
            )
            for one in plan.targets
            if kinds.get(one) == trigger.once_per and one not in scope
        )

    def _rivals(self, action: Action) -> tuple[str, ...]:
        """List the actions that make or end the same state."""
        state = action.makes or action.ends
        if state is None:
            return ()
        offered = self.shell.calls.registry.catalogue.actions()
        return tuple(sorted({one.name for one in offered if state in {one.makes, one.ends}}))

    async def _fail(self, row: StepRow, reason: str) -> None:
        failed = settled_row(row, StepState.FAILED, error=reason)
        event = RunEvent("step_failed", {"step": row.key, "reason": reason})
        await self.shell.advance(self.context, steps=(failed,), events=(event,))


def _expired(approval: Approval) -> Approval:
    return msgspec.structs.replace(approval, state=Answer.EXPIRED)


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the error that counts: a lost fence before anything that came of it."""
    leaves = list(_leaves(failed))
    return next((one for one in leaves if isinstance(one, FenceLost)), leaves[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    group = cast("BaseExceptionGroup[BaseException]", error)
    for one in group.exceptions:
        yield from _leaves(one)
