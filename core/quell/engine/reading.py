"""A step that only reads: its targets are read side by side, and written down once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from quell.domain.action import Action, Call, Target, Unresolved
from quell.domain.outcome import Failed, Outcome, Pending, Succeeded, Unknown
from quell.domain.run import StepState, TargetResult
from quell.engine.calls import bare_target, incident_target
from quell.engine.context import RunContext
from quell.engine.plan import Node
from quell.engine.shell import SHORT, Shell, settled_row, side_by_side
from quell.journal.progress import Attempt
from quell.journal.steps import StepPlan, StepRow, TargetEntry

__all__ = ["ReadingStep"]


@dataclass(slots=True, kw_only=True)
class ReadingStep:
    """One step of a run whose action has no effect."""

    shell: Shell
    context: RunContext
    node: Node
    action: Action
    plan: StepPlan
    row: StepRow
    #: results that were known before: of earlier attempts, or targets out of the run's scope
    entries: dict[str, TargetEntry]
    slots: asyncio.Semaphore

    async def run(self) -> datetime | None:
        """Read what is still to be read. Gives when to go on, or None once settled."""
        while True:
            if self.row.plan is not None and self.row.plan.until is not None:
                if self.row.plan.until - self.shell.now() > SHORT:
                    return self.row.plan.until
                await self.shell.pause(self.row.plan.until)
            pause = await self._attempt()
            if pause is None:
                await self._settle()
                return None
            await self._note_pause(pause)

    async def _attempt(self) -> timedelta | None:
        """Read every target that has no result; gives the pause before the next try, if any."""
        attempt = self.row.attempt + 1
        self.row = msgspec.structs.replace(self.row, attempt=attempt)
        todo = [one for one in self.plan.targets if one not in self.entries]
        chunks = [
            todo[at : at + self.action.batch] for at in range(0, len(todo), self.action.batch)
        ]
        found = await side_by_side([self._read(chunk) for chunk in chunks])
        pauses: list[timedelta] = []
        may_retry = attempt < self.node.step.retry.attempts
        for target_id, outcome in (pair for pairs in found for pair in pairs):
            if isinstance(outcome, Failed) and outcome.retryable and may_retry:
                asked = timedelta(seconds=outcome.retry_after or 0)
                pauses.append(max(self.node.step.retry.wait, asked))
            else:
                self.entries[target_id] = _entry(target_id, outcome)
        return max(pauses) if pauses else None

    async def _read(self, chunk: Sequence[str]) -> list[tuple[str, Outcome]]:
        async with self.slots:
            resolved = await side_by_side([self._resolve(one) for one in chunk])
            targets = [one for one in resolved if isinstance(one, Target)]
            found = {
                one: Failed(reason=problem.reason)
                for one, problem in zip(chunk, resolved, strict=True)
                if isinstance(problem, Unresolved)
            }
            outcomes = await self._call(targets) if targets else []
            answered = {target.id: one for target, one in zip(targets, outcomes, strict=True)}
        return [(one, found.get(one) or answered[one]) for one in chunk]

    async def _resolve(self, target_id: str) -> Target | Unresolved:
        if self.action.target is None:
            return incident_target(target_id, "")
        summary = self.context.entities[target_id]
        found = await self.shell.calls.resolve(summary)
        # what cannot be looked up can still be read about, by the names that the incident has
        has_resolver = self.shell.calls.registry.resolver(type(summary.entity)) is not None
        return found if has_resolver else bare_target(summary)

    async def _call(self, targets: Sequence[Target]) -> list[Outcome]:
        within = self.node.step.timeout or self.action.timeout
        call = Call(
            params=msgspec.convert(self.plan.params, self.action.params),
            targets=tuple(targets),
            key="",
            note="",
            deadline=self.shell.now() + within,
            tenant_id=self.context.row.tenant_id,
            incident_id=self.context.row.incident_id,
            run_id=self.context.row.id,
        )
        outcomes = await self.shell.calls.act(self.action, call, within)
        return [await self._until_answered(outcome) for outcome in outcomes]

    async def _until_answered(self, outcome: Outcome) -> Outcome:
        """Wait here for a query that the vendor works on: nothing has to be remembered of it."""
        began = self.shell.now()
        while isinstance(outcome, Pending):
            operation = outcome.operation
            if self.shell.now() - began > min(operation.expires_after, timedelta(minutes=10)):
                return Failed(reason="the product did not finish the query in time")
            await self.shell.clock.sleep(operation.poll_every.total_seconds())
            outcome = await self.shell.calls.poll(self.action, operation) or outcome
        return outcome

    async def _note_pause(self, pause: timedelta) -> None:
        until = self.shell.now() + pause
        self.row = msgspec.structs.replace(
            self.row,
            state=StepState.WAITING,
            plan=msgspec.structs.replace(self.plan, until=until),
            results=tuple(self.entries.values()),
            wake_at=until,
        )
        await self.shell.advance(self.context, steps=(self.row,), attempts=(self._tried("retry"),))

    async def _settle(self) -> None:
        entries = tuple(self.entries[one] for one in self.plan.targets if one in self.entries)
        skipped = tuple(one for one in self.entries.values() if one not in entries)
        is_bad = any(one.result in {TargetResult.FAILED, TargetResult.UNKNOWN} for one in entries)
        state = StepState.FAILED if is_bad else StepState.DONE
        row = settled_row(self.row, state, plan=self.plan, results=(*entries, *skipped))
        await self.shell.advance(self.context, steps=(row,), attempts=(self._tried(state.value),))

    def _tried(self, outcome: str) -> Attempt:
        return Attempt(step_key=self.node.key, number=self.row.attempt, outcome=outcome)


def _entry(target_id: str, outcome: Outcome) -> TargetEntry:
    match outcome:
        case Succeeded():
            return TargetEntry(
                target_id=target_id,
                result=TargetResult.DONE,
                reason=outcome.caveat,
                data=outcome.data,
            )
        case Unknown():
            return TargetEntry(
                target_id=target_id, result=TargetResult.UNKNOWN, reason=outcome.reason
            )
        case Failed():
            return TargetEntry(
                target_id=target_id, result=TargetResult.FAILED, reason=outcome.reason
            )
        case Pending():
            raise AssertionError("waited for above")
