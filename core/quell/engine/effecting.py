"""A step with effects: each target looked up, looked at, decided on, sent, and asked about."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from quell.domain.action import Action, Call
from quell.domain.approval import Answer, Ask
from quell.domain.decision import Decision
from quell.domain.ids import ApprovalId
from quell.domain.outcome import Failed, Observation, Outcome, Pending, cannot_tell
from quell.domain.run import EffectState, StepState, TargetResult
from quell.engine.context import RunContext, digest, effect_key, entry_of
from quell.engine.counting import count_changes, count_decisions
from quell.engine.guard import decide_all
from quell.engine.lines import line_of
from quell.engine.outcomes import after_call, after_look, after_poll, applied, page_for
from quell.engine.plan import Node
from quell.engine.recover import RIVAL_PAUSE, judge, look_at, may_have_been_sent
from quell.engine.shell import SHORT, Shell, settled_row, side_by_side
from quell.engine.wish import Wish, canonical_targets, holds_after, prepare, request_of, wanted_of
from quell.journal.approvals import Approval
from quell.journal.effects import EffectChange, EffectRow
from quell.journal.intents import Intended, Standing, StepTerms, Wanted, intend
from quell.journal.progress import Advance, Attempt
from quell.journal.run_events import RunEvent
from quell.journal.steps import StepPlan, StepRow, TargetEntry

__all__ = ["EffectStep"]


@dataclass(slots=True, kw_only=True)
class EffectStep:
    """One step of a run whose action changes something."""

    shell: Shell
    context: RunContext
    node: Node
    action: Action
    plan: StepPlan
    row: StepRow
    #: targets that are left out: they are not in the run's scope
    skipped: tuple[TargetEntry, ...]
    slots: asyncio.Semaphore
    rivals: tuple[str, ...]
    #: targets that turned out to be another one of the set, by the id of that one
    twins: dict[str, str] = field(default_factory=dict[str, str])

    async def run(self) -> datetime | None:
        """Bring the step as far as it goes. Gives when to go on, or None once settled."""
        while True:
            wait = await self._round()
            if self._is_settled():
                await self._settle_if_open()
                return None
            if self.context.is_cancelled and not self._open():
                return self.shell.now()
            is_near = wait - self.shell.now() <= SHORT
            if not is_near or self.context.is_nudged or self._has_expired():
                return wait
            await self.shell.pause(wait)

    # -- one round ---------------------------------------------------------------------------

    async def _round(self) -> datetime:
        """Do what can be done now; gives the moment of what comes next."""
        now = self.shell.now()
        if self.context.is_cancelled:
            await self._drop_unsent()
        ids = {self._key(one): one for one in self.plan.targets}
        open_rows = [row for row in self._open() if not self._is_asked(ids[row.key])]
        looks = [row for row in open_rows if self._is_uncertain(row)]
        polls = [row for row in open_rows if row.state is EffectState.PENDING]
        again = await asyncio.gather(
            *(self._look(row) for row in looks if look_at(row, self.action, self._within()) <= now),
            *(self._poll(row) for row in polls if (row.poll_at or now) <= now),
        )
        resend = {key for key in again if key is not None}
        wanted = [one for one in self.plan.targets if self._is_wanted(one, resend)]
        if wanted and not self.context.is_cancelled:
            await self._pursue(wanted)
        return min(self._moments(), default=self.shell.now())

    def _moments(self) -> list[datetime]:
        """List when something is to be done next; what is still due now waits for a rival."""
        now = self.shell.now()
        moments = [approval.expires_at for approval in self._questions()]
        for target_id in self.plan.targets:
            row = self._effect(target_id)
            if target_id in self.twins or self._is_asked(target_id):
                continue
            if row is not None and row.state.is_settled:
                continue
            moment = self._moment(row)
            moments.append(moment if moment > now else now + RIVAL_PAUSE)
        return moments

    def _has_expired(self) -> bool:
        """Tell whether a question's time is over: that is closed between two drives of the step."""
        now = self.shell.now()
        return any(one.expires_at <= now for one in self._questions())

    def _questions(self) -> list[Approval]:
        return [
            approval
            for approval in self.context.approvals
            if approval.step_key == self.node.key and approval.state is Answer.OPEN
        ]

    def _moment(self, row: EffectRow | None) -> datetime:
        if row is None or row.key in self.context.unsent:
            return self.shell.now()
        if self._is_uncertain(row):
            return look_at(row, self.action, self._within())
        return row.poll_at or self.shell.now()

    async def _drop_unsent(self) -> None:
        """Give up what is certain not to have been sent, because the run is cancelled."""
        changes = [
            EffectChange(key=row.key, state=EffectState.FAILED, reason="the run was cancelled")
            for row in self._open()
            if row.state is EffectState.INTENDED and not self._is_uncertain(row)
        ]
        if changes:
            await self._record(changes)

    def _open(self) -> list[EffectRow]:
        mine = self.context.effects_of(self.node.key)
        return [row for row in mine if not row.state.is_settled]

    def _is_uncertain(self, row: EffectRow) -> bool:
        return may_have_been_sent(row) and row.key not in self.context.unsent

    def _is_wanted(self, target_id: str, resend: set[str]) -> bool:
        """Tell whether a target is to be decided on now."""
        if self._is_asked(target_id) or target_id in self.twins:
            return False
        row = self.context.effects.get(self._key(target_id))
        if row is None or row.key in resend:
            return True
        if row.state is not EffectState.INTENDED:
            return False
        is_due = row.poll_at is None or row.poll_at <= self.shell.now()
        return row.key in self.context.unsent or (isinstance(row.outcome, Failed) and is_due)

    def _is_asked(self, target_id: str) -> bool:
        return any(one.target(target_id) is not None for one in self._questions())

    def _within(self) -> timedelta:
        """Tell how long one call may take."""
        return self.node.step.timeout or self.action.timeout

    def _effect(self, target_id: str) -> EffectRow | None:
        """Find the effect on a target, or on the one that it turned out to be."""
        return self.context.effects.get(self._key(self.twins.get(target_id, target_id)))

    def _key(self, target_id: str) -> str:
        return effect_key(self.context.ref, self.node.key, target_id, self.action.name)

    # -- deciding ----------------------------------------------------------------------------

    async def _pursue(self, target_ids: Sequence[str]) -> None:
        """Decide about targets in one transaction, then send what was allowed."""
        prepared = await side_by_side([self._prepare(one) for one in target_ids])
        wishes = self._without_twins(await canonical_targets(self.shell, prepared))
        if not wishes:
            return
        wanted = self._wanted(wishes)
        intended = await self._intend(wishes, wanted)
        self._take(intended)
        sendable = [row for key, row in intended.effects.items() if key in intended.sendable]
        chunks: dict[str, list[EffectRow]] = {}
        for row in sendable:
            chunks.setdefault(row.vendor_key, []).append(row)
        by_key = {wish.key: wish for wish in wishes}
        await side_by_side([self._send(chunk, by_key) for chunk in chunks.values()])

    async def _prepare(self, target_id: str) -> Wish:
        async with self.slots:
            key = self._key(target_id)
            return await prepare(self.shell, self.context, self.action, target_id, key, self.rivals)

    def _without_twins(self, wishes: Sequence[Wish]) -> list[Wish]:
        """Leave out wishes for what another target of the set turned out to be."""
        ids = {self._key(one): one for one in self.plan.targets}
        first = {row.target_id: ids[row.key] for row in self.context.effects_of(self.node.key)}
        kept: list[Wish] = []
        for wish in wishes:
            twin = first.setdefault(wish.target.id, wish.asked_id)
            if twin == wish.asked_id:
                kept.append(wish)
            else:
                self.twins[wish.asked_id] = twin
        return kept

    def _wanted(self, wishes: Sequence[Wish]) -> list[Wanted]:
        """Name each wish for the vendor: alone by its own key, in a batch by the batch's."""
        names: dict[str, str] = {}
        fresh = [wish.key for wish in wishes if wish.key not in self.context.effects]
        for at in range(0, len(fresh), self.action.batch):
            keys = fresh[at : at + self.action.batch]
            names |= dict.fromkeys(keys, keys[0] if len(keys) == 1 else digest("batch", *keys))
        for wish in wishes:
            if (known := self.context.effects.get(wish.key)) is not None:
                names[wish.key] = known.vendor_key
        return [
            wanted_of(self.context, self.node, self.action, wish, names[wish.key])
            for wish in wishes
        ]

    async def _intend(self, wishes: Sequence[Wish], wanted: Sequence[Wanted]) -> Intended:
        requests = [request_of(self.context, self.node, self.action, wish) for wish in wishes]
        policy = self.shell.policy

        def decide(standing: Standing) -> list[Decision]:
            return decide_all(requests, policy, standing)

        row = msgspec.structs.replace(
            self.row, state=StepState.RUNNING, plan=self.plan, attempt=self.row.attempt + 1
        )

        def conclude(decisions: Sequence[Decision], now: datetime) -> Advance:
            return self._on_record(row, wanted, decisions)

        intended = await self.shell.commit(
            intend(
                self.context.ref,
                self.context.row.fence,
                self._terms(),
                wanted,
                decide=decide,
                conclude=conclude,
                worker=self.shell.worker,
                lease=self.shell.lease,
            )
        )
        self.row = row
        self.context.known[row.key] = row
        count_decisions(self.context.ref.tenant_id, self.action.name, wanted, intended)
        return intended

    def _terms(self) -> StepTerms:
        options = self.context.row.options
        return StepTerms(
            step_key=self.node.key,
            action=self.action.name,
            system=self.action.system,
            kind=self.action.effect.value,
            is_guarded=self.action.is_guarded,
            params=self.plan.params,
            params_digest=digest(self.plan.params),
            state=self.action.makes or self.action.ends,
            rivals=self.rivals,
            by=options.ordered_by or self.context.row.playbook_id,
            policy=self.shell.policy.version,
            ask=self.node.step.ask or Ask(),
            approval_id=ApprovalId(self.shell.new_id()[:12]),
        )

    def _on_record(
        self, row: StepRow, wanted: Sequence[Wanted], decisions: Sequence[Decision]
    ) -> Advance:
        """Say what was decided, for the run's events and the audit trail."""
        lines = [line_of(one, decision) for one, decision in zip(wanted, decisions, strict=True)]
        body = {"step": self.node.key, "action": self.action.name, "decisions": lines}
        audits: tuple[tuple[str, dict[str, object]], ...] = ()
        if self.action.is_guarded or self.action.ends is not None:
            audits = (("effect.decide", {**body, "policy": self.shell.policy.version}),)
        return Advance(steps=(row,), events=(RunEvent("decided", body),), audits=audits)

    def _take(self, intended: Intended) -> None:
        self.context.effects.update(intended.effects)
        self.context.unsent.update(intended.sendable)
        if intended.approval is not None:
            self.context.approvals.append(intended.approval)
        if intended.notice is not None:
            self.shell.notify(intended.notice)
        signals = intended.signals
        self.context.is_cancelled = self.context.is_cancelled or signals.cancel_requested
        self.context.is_nudged = self.context.is_nudged or signals.is_nudged

    # -- sending -----------------------------------------------------------------------------

    async def _send(self, chunk: Sequence[EffectRow], wishes: dict[str, Wish]) -> None:
        """Make one call for one target or a batch of them, and write down what came of it."""
        async with self.slots:
            began = self.shell.now()
            # the last look at the clock: whoever takes the run over counts on nothing leaving later
            if began >= min(row.deadline for row in chunk) or self.context.is_cancelled:
                return
            outcomes = self._adopted(chunk, wishes)
            if outcomes is None:
                self.context.unsent.difference_update(row.key for row in chunk)
                call = self._call(chunk, wishes)
                outcomes = await self.shell.calls.act(self.action, call, self._within())
        now = self.shell.now()
        may_retry = self.row.attempt < self.node.step.retry.attempts
        changes = [
            after_call(
                row,
                self.action,
                outcome,
                now=now,
                sent_at=began,
                holds=holds_after(self.context, self.node, self.action, row.target_id),
                retry=self.node.step.retry if may_retry else None,
            )
            for row, outcome in zip(chunk, outcomes, strict=True)
        ]
        await self._record(changes)

    def _adopted(self, chunk: Sequence[EffectRow], wishes: dict[str, Wish]) -> list[Outcome] | None:
        """Take on an open operation of somebody else that wants the same, instead of a call."""
        (first,) = chunk[:1]
        observation = wishes[first.key].observation
        operation = observation.open_operation if observation is not None else None
        if len(chunk) != 1 or operation is None:
            return None
        self.context.unsent.discard(first.key)
        return [Pending(operation=msgspec.structs.replace(operation, adopted=True))]

    def _call(self, chunk: Sequence[EffectRow], wishes: dict[str, Wish]) -> Call[msgspec.Struct]:
        run = self.context.row
        key = chunk[0].vendor_key
        about = f"incident {run.incident_id}, " if run.incident_id else ""
        before: dict[str, Observation] = {}
        for row in chunk:
            if (observation := wishes[row.key].observation) is not None:
                before[row.target_id] = observation
        return Call(
            params=msgspec.convert(self.plan.params, self.action.params),
            targets=tuple(wishes[row.key].target for row in chunk),
            key=key,
            note=f"quell {run.playbook_id}, {about}run {run.id}, key {key}",
            deadline=min(row.deadline for row in chunk),
            tenant_id=run.tenant_id,
            incident_id=run.incident_id,
            run_id=run.id,
            before=before,
        )

    # -- finding out -------------------------------------------------------------------------

    async def _look(self, row: EffectRow) -> str | None:
        """Find out what became of an effect; gives its key when it may be sent again."""
        async with self.slots:
            ids = {self._key(one): one for one in self.plan.targets}
            wish = await prepare(
                self.shell, self.context, self.action, ids[row.key], row.key, self.rivals
            )
            observation = wish.observation
            if wish.unresolved:
                observation = cannot_tell(wish.unresolved)
            elif observation is None:
                observation = await self.shell.calls.observe(self.action, wish.target)
        verdict = judge(row, self.action, observation)
        holds = holds_after(self.context, self.node, self.action, row.target_id)
        change = after_look(row, self.action, verdict, now=self.shell.now(), holds=holds)
        if change is None:
            return row.key
        await self._record([change])
        return None

    async def _poll(self, row: EffectRow) -> str | None:
        """Ask the vendor about an operation; one that has expired is cancelled there."""
        operation = row.operation
        if operation is None:
            return None
        now = self.shell.now()
        async with self.slots:
            outcome = await self.shell.calls.poll(self.action, operation)
            began = row.sent_at or row.decided_at
            is_open = outcome is None or isinstance(outcome, Pending)
            if is_open and now - began >= operation.expires_after:
                outcome = await self.shell.calls.expire(self.action, operation)
        holds = holds_after(self.context, self.node, self.action, row.target_id)
        await self._record([after_poll(row, self.action, outcome, now=now, holds=holds)])
        return None

    # -- on record ---------------------------------------------------------------------------

    async def _record(self, changes: Sequence[EffectChange]) -> None:
        """Write outcomes down; with the last of them the step is settled."""
        pages = [page_for(self.context.effects[change.key], change) for change in changes]
        for change in changes:
            row = self.context.effects[change.key]
            self.context.effects[change.key] = applied(row, change)
        settled = [change for change in changes if change.state is not None]
        lines = [{"effect": one.key, "state": one.state} for one in settled]
        body: dict[str, object] = {"step": self.node.key, "outcomes": lines}
        is_audited = self.action.is_guarded or self.action.ends is not None
        is_final = self._is_settled() and not self.context.known[self.node.key].state.is_settled
        attempt = Attempt(
            step_key=self.node.key,
            number=self.row.attempt,
            outcome=", ".join(sorted({str(one.state or "open") for one in changes})),
        )
        await self.shell.advance(
            self.context,
            steps=(self._final_row(),) if is_final else (),
            effects=tuple(changes),
            attempts=(attempt,),
            events=(RunEvent("outcomes", body),) if lines else (),
            notices=tuple(page for page in pages if page is not None),
            audits=(("effect.outcome", body),) if lines and is_audited else (),
        )
        count_changes(self.context, self.action.name, changes, self.shell.now())

    def _is_settled(self) -> bool:
        rows = [self._effect(one) for one in self.plan.targets]
        return all(row is not None and row.state.is_settled for row in rows)

    async def _settle_if_open(self) -> None:
        """Settle a step for which nothing had to be sent."""
        if not self.context.known[self.node.key].state.is_settled:
            await self.shell.advance(self.context, steps=(self._final_row(),))

    def _final_row(self) -> StepRow:
        entries = [
            entry_of(row, one)
            for one in self.plan.targets
            if (row := self._effect(one)) is not None
        ]
        bad = {TargetResult.FAILED, TargetResult.UNKNOWN}
        is_bad = any(entry.result in bad for entry in entries)
        state = StepState.FAILED if is_bad else StepState.DONE
        return settled_row(self.row, state, plan=self.plan, results=(*entries, *self.skipped))
