"""One tenant at work: its connectors, sources, sync and engine, and what they do in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from quell.domain.ids import SourceId, TenantId
from quell.domain.offers import Notice, Notifier, WebhookEvent
from quell.domain.ports import IncidentSource
from quell.engine import Engine
from quell.errors import QuellError
from quell.journal import Journal, incidents, notices, runs, webhooks
from quell.quota import WatchedQuota
from quell.runtime.connectors import Connectors
from quell.runtime.duty import Duty, describe_failure
from quell.runtime.pace import Pace
from quell.runtime.streaming import stream_duties
from quell.stream import Streams
from quell.sync import Part, Sync

__all__ = ["PassReport", "TenantRuntime"]

logger = structlog.get_logger(__name__)

#: revisions matched, and runs looked for, in one go
BATCH = 200
#: seconds between two looks for what is due
SWEEP_EVERY = 1.0
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
        self._duties: dict[str, Duty] = {}
        self._paces = {source.source_id: Pace.of(source.poll_every) for source, _ in sources}

    def duties(self, wake: Any) -> list[Duty]:
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
            Duty(
                tenant_id=self.id, name="sweep", work=lambda: self._sweep(wake), every=SWEEP_EVERY
            ),
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
        return started

    async def _sweep(self, wake: Any) -> None:
        if not await self.journal.ask(runs.due(self.id, limit=1)):
            return  # a look costs no write
        for ref in await self.journal.commit(runs.sweep(self.id, limit=BATCH)):
            wake(ref)

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
