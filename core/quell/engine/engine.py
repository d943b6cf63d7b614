"""The engine of one tenant: what starts, what is driven, what people order and take back."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import structlog

from quell.domain.ids import IncidentId, RunId, TenantId, WorkerId
from quell.domain.offers import Notice
from quell.domain.ports import Clock
from quell.domain.run import EffectState, RunState
from quell.domain.urgency import URGENT
from quell.domain.view import IncidentView, RevisionView
from quell.engine.act import Orders
from quell.engine.calls import Calls
from quell.engine.context import RunContext
from quell.engine.counting import count_claim, count_end
from quell.engine.drive import Drive
from quell.engine.heartbeat import Heartbeat
from quell.engine.match import Held, No, Start, strongest_effect
from quell.engine.order import OrderProgram
from quell.engine.policy import GuardPolicy
from quell.engine.pressure import Pressure
from quell.engine.registry import EngineRegistry, Program
from quell.engine.report import ActRequest, EffectReport, report_of_run
from quell.engine.shell import Shell
from quell.engine.tend import Tending
from quell.engine.trigger import Programs, Trigger
from quell.engine.views import Views
from quell.errors import FenceLost, NotFoundError, PlaybookError
from quell.isolation.isolation import Isolation
from quell.journal import Journal, Write, effects, runs
from quell.journal.admission import SUSPECT_AFTER
from quell.journal.runs import Claim, RunRef
from quell.meters import FENCES_LOST

__all__ = ["LEASE", "Claiming", "Engine"]

logger = structlog.get_logger(__name__)

Claiming = Callable[[RunRef, WorkerId, timedelta], Write[Claim | None]]

#: how long a run stays with a worker that is not heard of
LEASE = timedelta(seconds=20)


def _new_id() -> str:
    return uuid.uuid4().hex


def _forget(ref: RunRef) -> None:
    """Do nothing: nobody wants to hear of runs that have ended."""


def _say_nothing(notice: Notice) -> None:
    """Do nothing: notices are in the journal, and whoever passes them on finds them there."""


def _without_priority(wake: Callable[[RunRef], object]) -> Callable[[RunRef, int], object]:
    def rouse(ref: RunRef, priority: int) -> object:
        return wake(ref)

    return rouse


class Engine:
    """Matches, drives and tends the runs of one tenant, on one event loop."""

    def __init__(
        self,
        *,
        journal: Journal,
        tenant_id: TenantId,
        registry: EngineRegistry,
        policy: GuardPolicy,
        clock: Clock,
        worker: WorkerId,
        wake: Callable[[RunRef], object],
        notify: Callable[[Notice], None] = _say_nothing,
        ended: Callable[[RunRef], None] = _forget,
        new_id: Callable[[], str] = _new_id,
        lease: timedelta = LEASE,
        rouse: Callable[[RunRef, int], object] | None = None,
        heartbeat: Heartbeat | None = None,
        pressure: Pressure | None = None,
        isolation: Isolation | None = None,
    ) -> None:
        """Put an engine together.

        `rouse` is `wake` with how urgent the run is; `heartbeat` is shared by all engines of a
        process; `pressure` tells when no more remarks are to be queued.
        """
        self._shell = Shell(
            journal=journal,
            tenant_id=tenant_id,
            calls=Calls(registry, tenant_id, isolation),
            policy=policy,
            clock=clock,
            worker=worker,
            new_id=new_id,
            notify=notify,
            lease=lease,
        )
        self._ended = ended
        self._wake: Callable[[RunRef, int], object] = rouse or _without_priority(wake)
        self._programs = Programs(shell=self._shell)
        self._views = Views(journal=journal, tenant_id=tenant_id)
        self._trigger = Trigger(shell=self._shell, programs=self._programs, pressure=pressure)
        self._orders = Orders(shell=self._shell)
        self._tending = Tending(shell=self._shell)
        self._heartbeat = heartbeat or Heartbeat(journal, worker, lease)
        self._own_heartbeat = self._heartbeat if heartbeat is None else None
        self._draining = asyncio.Event()

    # -- what starts -------------------------------------------------------------------------

    async def match(self, revision: RevisionView, view: IncidentView) -> list[RunId]:
        """Decide what a revision starts, write it down, then wake the runs."""
        begun = await self._trigger.match(revision, view)
        for run in begun:
            self._wake(RunRef(self._shell.tenant_id, run.id), run.priority)
        return [run.id for run in begun]

    async def explain(
        self, revision: RevisionView, view: IncidentView
    ) -> dict[str, Start | Held | No]:
        """Say, for each active playbook, why it would or would not start at a revision now."""
        return await self._trigger.explain(revision, view)

    async def release_start(
        self, playbook_id: str, incident_id: IncidentId, *, by: str, priority: int = URGENT
    ) -> RunId | None:
        """Let a held start go. None when the playbook was started meanwhile."""
        run_id = await self._trigger.release(playbook_id, incident_id, by=by, priority=priority)
        if run_id is not None:
            self._wake(RunRef(self._shell.tenant_id, run_id), priority)
        return run_id

    # -- driving -----------------------------------------------------------------------------

    async def drive(self, ref: RunRef, claiming: Claiming = runs.claim) -> RunState:
        """Claim a run and take it as far as it goes; harmless when it is another's or not due.

        `claiming` may refuse it for now: it then stays where it is.
        """
        journal = self._shell.journal
        claim = await self._shell.commit(claiming(ref, self._shell.worker, self._shell.lease))
        if claim is None:
            return (await journal.ask(runs.get(ref))).state
        count_claim(claim)
        try:
            # a drive that broke is not renewed: its lease ends, and it is taken over
            with self._heartbeat.holding(ref, claim.run.fence):
                state = await self._drive(claim)
            count_end(ref.tenant_id, state)
            if state.is_final:
                self._ended(ref)
            return state
        except FenceLost:
            FENCES_LOST.add(ref.tenant_id)
            logger.info("Run %s was taken over", ref.run_id, event_name="fence_lost")
        return (await journal.ask(runs.get(ref))).state

    async def _drive(self, claim: Claim) -> RunState:
        try:
            program = await self._program(claim)
        except (PlaybookError, NotFoundError) as error:
            reason = f"its playbook cannot be run any more: {error}"
            ref, fence = claim.run.ref, claim.run.fence
            notice = await self._shell.commit(runs.park(ref, fence, reason[:500]))
            self._shell.notify(notice)
            return RunState.PARKED
        catalogue = self._shell.calls.registry.catalogue
        is_strong = strongest_effect(program.playbook, catalogue)
        context = RunContext.of(claim, program, await self._view(claim), is_strong=is_strong)
        shell = self._shell
        if claim.run.takeovers >= SUSPECT_AFTER:
            # it may be what took its workers down: its actions are called in child processes
            shell = replace(shell, calls=shell.calls.isolating_all())
        return await Drive(shell=shell, context=context, draining=self._draining).go()

    async def _program(self, claim: Claim) -> Program:
        order = claim.run.options.order
        if order is not None:
            return OrderProgram(claim.run.playbook_id, order)
        return await self._programs.get(claim.run.playbook_id, claim.run.digest)

    async def _view(self, claim: Claim) -> IncidentView | None:
        incident_id = claim.run.incident_id
        if incident_id is None:
            return None
        return await self._views.get(incident_id)

    # -- people's orders ---------------------------------------------------------------------

    async def act(self, request: ActRequest) -> list[EffectReport]:
        """Do one action on one entity as a person ordered it, the whole way, guard included.

        What has to be asked first, or is not finished, says so in its report.
        """
        return await self._carry_out(await self._orders.order(request))

    async def take_back(
        self, *, by: str, run_id: RunId | None = None, key: str | None = None, reason: str = ""
    ) -> list[EffectReport]:
        """Take a run's effects back, or one effect: our holds go, and with the last the state.

        What others want, or made themselves, is kept and reported.
        """
        tenant_id = self._shell.tenant_id
        if key is not None:
            rows = [await self._shell.journal.ask(effects.get(tenant_id, key))]
        else:
            await self._shell.journal.ask(runs.get(RunRef(tenant_id, run_id or RunId(""))))
            question = effects.listed(tenant_id, run_id=run_id, limit=10_000)
            rows = await self._shell.journal.ask(question)
        action_of = self._shell.choose
        lasting = [
            row
            for row in rows
            if row.state not in {EffectState.DENIED, EffectState.FAILED}
            and ((action := action_of(row.action, row.system)) is None or action.is_guarded)
        ]
        undoing = await self._orders.undo(lasting, by=by, reason=reason)
        reports = list(undoing.kept)
        for ref in undoing.refs:
            reports += await self._carry_out(ref)
        return reports

    async def _carry_out(self, ref: RunRef) -> list[EffectReport]:
        await self.drive(ref)
        return report_of_run(await self._shell.journal.ask(runs.snapshot(ref)))

    # -- housekeeping ------------------------------------------------------------------------

    async def tend(self, limit: int = 50) -> int:
        """Look again at effects whose time has come. Gives how many were due."""
        return await self._tending.tend(limit)

    def drain(self) -> None:
        """Begin no new steps; runs in hand go back to the queue at their next step."""
        self._draining.set()

    def close(self) -> None:
        """Stop the engine's own heartbeat; leases that are still held run out."""
        if self._own_heartbeat is not None:
            self._own_heartbeat.close()

    @property
    def is_draining(self) -> bool:
        """Tell whether no new steps are begun any more."""
        return self._draining.is_set()
