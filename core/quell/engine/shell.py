"""What every part of the engine shares: journal, calls, policy, clock, and who it works for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from quell.domain.action import Action
from quell.domain.ids import TenantId, WorkerId
from quell.domain.offers import Notice
from quell.domain.ports import Clock
from quell.domain.run import StepState
from quell.engine.calls import Calls
from quell.engine.context import RunContext
from quell.engine.plan import consequences, is_over, outcome
from quell.engine.policy import GuardPolicy
from quell.journal import Journal, Write, progress
from quell.journal.effects import EffectChange
from quell.journal.progress import Advance, Attempt
from quell.journal.run_events import RunEvent
from quell.journal.steps import StepRow

__all__ = ["SHORT", "Shell", "settled_row", "side_by_side"]

T = TypeVar("T")

#: pauses up to this long are slept through; longer ones become timers and hold nothing
SHORT = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """The surroundings of a drive."""

    journal: Journal
    tenant_id: TenantId
    calls: Calls
    policy: GuardPolicy
    clock: Clock
    worker: WorkerId
    new_id: Callable[[], str]
    notify: Callable[[Notice], None]
    lease: timedelta = field(default=timedelta(seconds=20))

    def now(self) -> datetime:
        """Tell the time."""
        return self.clock.now()

    async def commit(self, write: Write[T]) -> T:
        """Commit a write; one that was handed over is finished, even if nobody waits for it."""
        return await self.journal.commit(write)

    def choose(self, name: str, system: str | None) -> Action | None:
        """Find the one implementation of an action that policy or playbook chose."""
        wanted = system or self.policy.systems.get(name)
        found = list(self.calls.registry.actions(name, wanted))
        return found[0] if len(found) == 1 else None

    async def pause(self, until: datetime) -> None:
        """Sleep until a moment that is near."""
        await self.clock.sleep(max(0.0, (until - self.now()).total_seconds()))

    async def advance(
        self,
        context: RunContext,
        *,
        steps: tuple[StepRow, ...] = (),
        effects: tuple[EffectChange, ...] = (),
        attempts: tuple[Attempt, ...] = (),
        events: tuple[RunEvent, ...] = (),
        notices: tuple[Notice, ...] = (),
        audits: tuple[tuple[str, dict[str, object]], ...] = (),
    ) -> None:
        """Write down how a run has come further, with everything that follows by itself.

        The last step's write ends the run. Raises FenceLost when the run is not ours any more.
        """
        context.known.update({row.key: row for row in steps})
        followed = tuple(consequences(context.steps, context.known))
        context.known.update({row.key: row for row in followed})
        rows = (*steps, *followed)
        is_end = is_over(context.steps, context.known)
        change = Advance(
            steps=rows,
            effects=effects,
            attempts=attempts,
            events=(*events, *(_settled(row) for row in rows if row.state.is_settled)),
            notices=notices,
            audits=audits,
            finish=outcome(context.known) if is_end else None,
            settled=len(context.known) if is_end else 0,
        )
        fence = context.row.fence
        signals = await self.commit(
            progress.advance(context.ref, fence, change, worker=self.worker)
        )
        context.is_cancelled = context.is_cancelled or signals.cancel_requested
        context.is_nudged = context.is_nudged or signals.is_nudged
        for notice in notices:
            self.notify(notice)


def _settled(row: StepRow) -> RunEvent:
    counts: dict[str, int] = {}
    for entry in row.results:
        counts[entry.result.value] = counts.get(entry.result.value, 0) + 1
    body = {"step": row.key, "state": row.state.value, "results": counts}
    kind = "step_skipped" if row.state is StepState.SKIPPED else "step_settled"
    return RunEvent(kind, {**body, "reason": row.error} if row.error else body)


def settled_row(row: StepRow, state: StepState, **changes: object) -> StepRow:
    """Give a step's row as it ends."""
    return msgspec.structs.replace(row, state=state, wake_at=None, **changes)


async def side_by_side(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Await several calls at once; a single one, as most are, needs no task of its own."""
    if len(calls) == 1:
        return [await calls[0]]
    return await asyncio.gather(*calls)
