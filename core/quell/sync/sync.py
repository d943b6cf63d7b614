"""Sync of one tenant: polls what changed, keeps copies in step, and writes what follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from quell.domain.ids import SourceId, TenantId, WorkerId
from quell.domain.ports import Clock, IncidentDesk, IncidentSource
from quell.errors import ConnectorError
from quell.journal import Journal
from quell.sync.absorb.first_contact import Drift
from quell.sync.bench import Bench
from quell.sync.compare import Comparison, compare
from quell.sync.desk.desk import Desk
from quell.sync.desk.writer import IncidentWriter, WriteReport
from quell.sync.drift import accept_drift, list_drift
from quell.sync.held import HeldWrite, list_held
from quell.sync.modes import SourceMode, list_modes, switch_mode
from quell.sync.policy import SyncPolicy
from quell.sync.reading.backfill import Backfill, BackfillProgress
from quell.sync.reading.poll import Poller, PollReport
from quell.sync.reading.sweep import Sweeper
from quell.sync.routes import Routes
from quell.sync.sides import Part, Sides
from quell.sync.status import SourceStatus, list_status

__all__ = ["Sync", "SyncReport"]

#: most rounds of one pass: each takes in what the writes of the one before changed
ROUNDS = 10


class SyncReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass came to."""

    incidents: int = 0
    revisions: int = 0
    applied: int = 0
    parked: int = 0
    #: one line for each thing that went wrong: what, and what to do
    problems: tuple[str, ...] = ()
    #: whether nothing was left to do when the pass ended
    is_quiet: bool = True


class Sync:
    """Keeps the incidents of one tenant in step across its sources."""

    def __init__(
        self,
        *,
        journal: Journal,
        tenant_id: TenantId,
        sources: Sequence[tuple[IncidentSource, Part]],
        policy: SyncPolicy,
        clock: Clock,
        worker: WorkerId,
        wake: Callable[[], None],
        hmac_key: bytes,
    ) -> None:
        sides = Sides(sources)
        self._bench = Bench(
            journal=journal,
            tenant_id=tenant_id,
            sides=sides,
            policy=policy,
            worker=worker,
            secret=hmac_key,
            routes=Routes.compile(policy, sides, f"tenant.{tenant_id}.sync"),
        )
        self._clock = clock
        self._wake = wake
        self._poller = Poller(self._bench)
        self._sweeper = Sweeper(self._bench, clock)
        self._backfill = Backfill(self._bench, clock)
        self._writer = IncidentWriter(self._bench, self._poller.poll)
        #: what actions write to incidents with
        self.desk: IncidentDesk = Desk(self._bench, self._writer)

    async def poll(self, source_id: SourceId) -> PollReport:
        """Poll one source to its end. Raises ConnectorError where the source as a whole fails."""
        return self._woken(await self._poller.poll(source_id))

    async def sweep(self, source_id: SourceId) -> PollReport:
        """Read days back and take in what polls missed. Raises ConnectorError as `poll` does."""
        return self._woken(await self._sweeper.sweep(source_id))

    async def sweep_if_due(self, source_id: SourceId) -> PollReport | None:
        """Sweep a source whose time has come; None where that is not so."""
        report = await self._sweeper.sweep_if_due(source_id)
        return None if report is None else self._woken(report)

    async def backfill(
        self,
        source_id: SourceId,
        since: datetime,
        until: datetime | None = None,
        watch: Callable[[BackfillProgress], None] | None = None,
    ) -> PollReport:
        """Read what changed in a time gone by; goes on with what an earlier try left."""
        return self._woken(await self._backfill.run(source_id, since, until, watch))

    async def status(self) -> list[SourceStatus]:
        """Tell how sync stands with every source."""
        return await list_status(self._bench)

    def _woken(self, report: PollReport) -> PollReport:
        if report.revisions or report.writes:
            self._wake()
        return report

    async def apply_writes(self, limit: int = 200) -> WriteReport:
        """Send what is planned and due, for up to `limit` incidents."""
        return await self._writer.apply(limit)

    async def pass_once(self) -> SyncReport:
        """Poll all sources and apply writes until nothing changes any more."""
        incidents = revisions = applied = parked = 0
        problems: list[str] = []
        is_quiet = False
        for _ in range(ROUNDS):
            polled = [
                await self._poll_safely(source.source_id, problems) for source in self._bench.sides
            ]
            written = await self.apply_writes()
            incidents += sum(report.incidents for report in polled if report)
            revisions += sum(report.revisions for report in polled if report)
            applied += written.applied
            parked += written.parked
            problems += written.problems
            news = sum(report.revisions for report in polled if report)
            is_quiet = not news and not written.applied
            if is_quiet:
                break
        return SyncReport(
            incidents=incidents,
            revisions=revisions,
            applied=applied,
            parked=parked,
            problems=tuple(dict.fromkeys(problems)),
            is_quiet=is_quiet,
        )

    async def _poll_safely(self, source_id: SourceId, problems: list[str]) -> PollReport | None:
        try:
            report = await self.poll(source_id)
        except ConnectorError as error:
            problems.append(f"{source_id}: {error} {error.remedy}")
            return None
        problems += [f"{source_id}: incident {key}: {why}" for key, why in report.parked.items()]
        return report

    async def drift(self) -> list[Drift]:
        """List what differs in copies that nobody has accepted yet."""
        return await list_drift(self._bench)

    async def held(self) -> list[HeldWrite]:
        """List what would be written where, and what each write waits for."""
        return await list_held(self._bench)

    async def accept(self, source_id: SourceId | None, by: str) -> int:
        """Accept the differences of a source, or of all; gives how many incidents that concerned."""
        accepted = await accept_drift(self._bench, source_id, by)
        self._wake()
        return accepted

    async def modes(self) -> list[SourceMode]:
        """List the sources that copies are made in, each with its mode and why."""
        return await list_modes(self._bench)

    async def switch_mode(
        self, source_id: SourceId, mode: Literal["overlay", "replica"], by: str
    ) -> int:
        """Switch a source to a mode; gives how many incidents have something to write now.

        Raises SettingsError where the settings name the mode.
        """
        planned = await switch_mode(self._bench, source_id, mode, by)
        self._wake()
        return len(planned)

    async def compare(self) -> Comparison:
        """Read both products afresh and list where they disagree."""
        return await compare(self._bench)
