"""Sync of one tenant: polls what changed, keeps copies in step, and writes what follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from quell.domain.ids import SourceId, TenantId, WorkerId
from quell.domain.ports import Clock, IncidentDesk, IncidentSource
from quell.errors import ConnectorError
from quell.journal import Journal
from quell.sync.bench import Bench
from quell.sync.compare import Comparison, compare
from quell.sync.desk.desk import Desk
from quell.sync.desk.writer import IncidentWriter, WriteReport
from quell.sync.drift import accept_drift, list_drift
from quell.sync.first_contact import Drift
from quell.sync.policy import SyncPolicy
from quell.sync.poll import Poller, PollReport
from quell.sync.sides import Part, Sides

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
        self._bench = Bench(
            journal=journal,
            tenant_id=tenant_id,
            sides=Sides(sources),
            policy=policy,
            worker=worker,
            secret=hmac_key,
        )
        self._clock = clock
        self._wake = wake
        self._poller = Poller(self._bench)
        self._writer = IncidentWriter(self._bench, self._poller.poll)
        #: what actions write to incidents with
        self.desk: IncidentDesk = Desk(self._bench, self._writer)

    async def poll(self, source_id: SourceId) -> PollReport:
        """Poll one source to its end. Raises ConnectorError where the source as a whole fails."""
        report = await self._poller.poll(source_id)
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

    async def accept(self, source_id: SourceId | None, by: str) -> int:
        """Accept the differences of a source, or of all; gives how many incidents that concerned."""
        accepted = await accept_drift(self._bench, source_id, by)
        self._wake()
        return accepted

    async def compare(self) -> Comparison:
        """Read both products afresh and list where they disagree."""
        return await compare(self._bench)
