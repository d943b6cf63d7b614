"""One tenant at work: its connectors, sources, sync and engine, and what they do in one pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog

from quell.domain.ids import SourceId, TenantId
from quell.domain.offers import Notice, Notifier, WebhookEvent
from quell.domain.ports import IncidentSource
from quell.domain.run import RunState
from quell.domain.urgency import URGENT, USUAL
from quell.engine import Engine, RunRef
from quell.engine.pressure import HELD_BACK, Pressure
from quell.errors import QuellError
from quell.journal import Journal, due, holdback, incidents, notices, webhooks
from quell.journal.admission import Admission, Limits, Verdict
from quell.journal.due import Due
from quell.meters import INCIDENTS_READ, REVISIONS, RUNS_STARTED
from quell.quota import WatchedQuota
from quell.runtime.connectors import Connectors
from quell.runtime.duty import Duty, describe_failure
from quell.runtime.pace import Pace
from quell.runtime.streaming import stream_duties
from quell.stream import Streams
from quell.sync import Part, Sync

__all__ = ["PassReport", "TenantRuntime", "Wake"]

logger = structlog.get_logger(__name__)

#: takes a run, and how urgent it is
Wake = Callable[[RunRef, int], object]

#: revisions matched, and runs looked for, in one go
BATCH = 200
#: seconds between two looks for what is due
SWEEP_EVERY = 1.0
#: seconds between two looks whether what was held back can go on
LET_GO_EVERY = 15.0
#: the duties that find due runs, each by a lease of its own
WAKING = {"outbox": Due.UNCLAIMED, "timers": Due.WOKEN, "sweep": Due.STALE}
#: seconds between two looks whether a source's days back are to be read again
LOOK_BACK_EVERY = 300.0


class PassReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass over everything did."""

    polled: int = 0
    changed: int = 0
    written: int = 0
    started: int = 0
    #: sources that could not be polled or written to: the reason, and what to do
    problems: tuple[str, ...] = ()


class TenantRuntime:
    """Everything of one tenant. Faults of its products stay here and touch no other tenant."""

    def __init__(
        self,
        *,
        tenant_id: TenantId,
        journal: Journal,
        connectors: Connectors,
        quota: WatchedQuota,
        sources: Sequence[tuple[IncidentSource, Part]],
        sync: Sync,
        streams: Streams,
        events_every: float,
        engine: Engine,
        notifiers: Sequence[Notifier],
        limits: Limits,
        pressure: Pressure,
    ) -> None:
        self.id = tenant_id
        self.journal = journal
        self.connectors = connectors
        self.quota = quota
        self.sources = tuple(sources)
        self.sync = sync
        self.streams = streams
        self._events_every = events_every
        self.engine = engine
        self._notifiers = tuple(notifiers)
        self._limits = limits
        self.pressure = pressure
        self._duties: dict[str, Duty] = {}
        self._paces = {source.source_id: Pace.of(source.poll_every) for source, _ in sources}

    async def drive(self, ref: RunRef, wake: Wake, *, is_alone: bool = False) -> Verdict:
        """Look at a run, if it may be in hand now; tells what came of it."""
        admission = Admission(self._limits, is_alone=is_alone)
        state = await self.engine.drive(ref, admission.claim)
        if admission.verdict is Verdict.ADMITTED:
            if state is RunState.QUEUED:
                wake(ref, URGENT)  # given back as this worker leaves: another may go on at once
            elif self._limits:
                await self._wake_following(wake)
        return admission.verdict

    def duties(self, wake: Wake) -> list[Duty]:
        """List the standing work for this tenant: one poll per source, writes, match, sweep, notices."""
        made = [
            Duty(
                tenant_id=self.id,
                name=f"poll/{source.source_id}",
                work=self._polling(source.source_id),
                every=self._waiting(source.source_id),
            )
            for source, _ in self.sources
        ]
        made += [
            Duty(tenant_id=self.id, name="write", work=self._write, every=2.0),
            Duty(tenant_id=self.id, name="match", work=self._match_all, every=5.0),
            *(
                Duty(tenant_id=self.id, name=name, work=self._waking(wake, kind), every=SWEEP_EVERY)
                for name, kind in WAKING.items()
            ),
            Duty(tenant_id=self.id, name="held_back", work=self._let_go, every=LET_GO_EVERY),
            Duty(tenant_id=self.id, name="tend", work=self._tend, every=SWEEP_EVERY),
            Duty(tenant_id=self.id, name="notices", work=self._pass_notices_on, every=5.0),
        ]
        made += [
            Duty(
                tenant_id=self.id,
                name=f"sweep/{source.source_id}",
                work=self._sweeping(source.source_id),
                every=LOOK_BACK_EVERY,
            )
            for source, _ in self.sources
        ]
        made += stream_duties(self.streams, self.id, self._events_every, self.hasten)
        self._duties = {duty.name: duty for duty in made}
        return made

    def hasten(self, name: str) -> None:
        """Have a duty done now, if this process does it; from the event loop only."""
        if (duty := self._duties.get(name)) is not None:
            duty.hasten.set()

    @property
    def kept(self) -> tuple[Duty, ...]:
        """Give the duties that this process looks after, whoever holds them."""
        return tuple(self._duties.values())

    def problems(self) -> list[str]:
        """Say what keeps duties of this tenant from succeeding."""
        return [
            f"{self.id}: {duty.name}: {duty.problem}"
            for duty in self._duties.values()
            if duty.problem
        ]

    async def pass_once(self) -> PassReport:
        """Poll every source once, match what changed, and write what follows from it."""
        polled = changed = 0
        problems: list[str] = []
        for source, _ in self.sources:
            try:
                report = await self.sync.poll(source.source_id)
            except (
                Exception
            ) as error:  # the edge of a worker's work: one source's bug stops no other
                if not isinstance(error, QuellError):
                    logger.exception("Source %s broke", source.source_id, event_name="source_broke")
                problems.append(f"{source.source_id}: {describe_failure(error)}")
                continue
            polled += report.incidents
            changed += report.revisions
        started = await self._match_all()
        written = await self.sync.apply_writes()
        return PassReport(
            polled=polled,
            changed=changed,
            written=written.applied,
            started=started,
            problems=(*problems, *written.problems),
        )

    async def receive(self, event: WebhookEvent) -> bool:
        """Let a verified webhook hasten the polls of its system. False for a repeat."""
        is_new = False
        for source, _ in self.sources:
            if source.system != event.source_system:
                continue
            write = webhooks.receive(self.id, source.source_id, event.event_id)
            if await self.journal.commit(write):
                is_new = True
                self.hasten(f"poll/{source.source_id}")
        return is_new

    def _polling(self, source_id: SourceId) -> Any:
        async def poll() -> None:
            report = await self.sync.poll(source_id)
            self._paces[source_id].note(is_busy=report.revisions > 0)
            INCIDENTS_READ.add(self.id, source_id, by=report.incidents)
            REVISIONS.add(self.id, source_id, by=report.revisions)
            if report.revisions:
                self.hasten("match")
            if report.writes:
                self.hasten("write")

        return poll

    def _sweeping(self, source_id: SourceId) -> Any:
        return lambda: self.sync.sweep_if_due(source_id)

    def _waiting(self, source_id: SourceId) -> Callable[[], float]:
        return lambda: self._paces[source_id].wait

    async def _write(self) -> int:
        report = await self.sync.apply_writes()
        return report.applied

    async def _match_all(self) -> int:
        started = 0
        while revisions := await self.journal.ask(incidents.unmatched(self.id, BATCH)):
            for revision in revisions:
                view = await self.journal.ask(incidents.view(self.id, revision.incident_id))
                started += len(await self.engine.match(revision, view))
        RUNS_STARTED.add(self.id, by=started)
        return started

    def _waking(self, wake: Wake, kind: Due) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            if not await self.journal.ask(due.is_there(self.id, kind)):
                return  # a look costs no write
            for one in await self.journal.commit(due.find(self.id, kind, limit=BATCH)):
                wake(one.ref, one.priority)

        return work

    async def _wake_following(self, wake: Wake) -> None:
        """Let those in that a cap kept out: a place has become free."""
        capped = [None] if self._limits.in_flight else []
        for playbook_id in (*capped, *sorted(self._limits.by_playbook)):
            question = due.following(self.id, playbook_id=playbook_id)
            for one in await self.journal.ask(question):
                wake(one.ref, one.priority)

    async def _let_go(self) -> None:
        """Begin what was held back while too many runs waited, once few do."""
        if not await self.pressure.has_room():
            return
        for playbook_id, incident_id in await self.journal.ask(
            holdback.held_for(self.id, HELD_BACK, limit=BATCH)
        ):
            await self.engine.release_start(playbook_id, incident_id, by="quell", priority=USUAL)

    async def _tend(self) -> None:
        await self.engine.tend(BATCH)

    async def _pass_notices_on(self) -> None:
        for stored in await self.journal.ask(notices.unsent(self.id)):
            if await self.journal.commit(notices.mark_sent(self.id, stored.id)):
                await self._notify(stored.notice)

    async def _notify(self, notice: Notice) -> None:
        for notifier in self._notifiers:
            try:
                await notifier.notify(notice)
            except Exception:  # a plugin's fault: the CLI shows the same notice
                logger.exception("Notifier %s failed", notifier.name, event_name="notifier_failed")
