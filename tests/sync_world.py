"""The world that tests of sync happen in: one journal, a product that detects, one that mirrors."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from tests.sync_model import Detector, ManualClock, Mirror, ModelSource

from quell.domain.hub import Hub, IncidentWrite
from quell.domain.ids import IncidentId, TenantId, WorkerId
from quell.domain.view import RevisionView
from quell.journal import Journal, hubs, incident_writes, incidents, links
from quell.sync import Disagreement, Sync, SyncPolicy
from quell.sync.sides import Part

TENANT = TenantId("t")
_workers = itertools.count()


@dataclass
class World:
    """A tenant's two products and what quell knows of them."""

    journal: Journal
    clock: ManualClock
    policy: SyncPolicy = field(default_factory=lambda: SyncPolicy(mode="replica"))
    wakes: int = 0

    def __post_init__(self) -> None:
        self.origin = Detector(self.clock, "origin")
        self.mirror = Mirror(self.clock, "mirror")
        self.sync = self.fresh_sync()

    def fresh_sync(self, journal: Journal | None = None) -> Sync:
        """Make a sync as another process would: nothing is shared but journal and products."""
        return Sync(
            journal=journal or self.journal,
            tenant_id=TENANT,
            sources=self.parts(),
            policy=self.policy,
            clock=self.clock,
            worker=WorkerId(f"worker-{next(_workers)}"),
            wake=self._wake,
            hmac_key=b"0123456789abcdef",
        )

    def parts(self) -> list[tuple[ModelSource, Part]]:
        """List the products and what each is for."""
        return [(self.origin, "detects"), (self.mirror, "mirrors")]

    def _wake(self) -> None:
        self.wakes += 1

    async def settle(self) -> None:
        """Go on until nothing changes any more, and let what is postponed come due."""
        for _ in range(5):
            report = await self.sync.pass_once()
            if report.is_quiet and not await self.journal.ask(incident_writes.has_open(TENANT)):
                return
            self.clock.advance(minutes=20)

    async def disagreements(self) -> tuple[Disagreement, ...]:
        """Read both products afresh and list where they disagree."""
        return (await self.sync.compare()).disagreements

    # -- looking -------------------------------------------------------------------------------

    def hub(self, native_id: str, source: ModelSource | None = None) -> Hub:
        """Give the incident that a product's copy belongs to."""
        source_id = (source or self.origin).source_id
        link = self.journal.ask_now(links.find(TENANT, source_id, native_id))
        assert link is not None, f"{native_id} of {source_id} is not known"
        return self.journal.ask_now(hubs.get(TENANT, link.incident_id))

    def copy_of(self, native_id: str) -> str:
        """Give the native id of the one live copy that an incident has in the mirror."""
        found = [
            link.native_id
            for link in self.hub(native_id).links
            if link.source_id == self.mirror.source_id and link.is_live
        ]
        assert len(found) == 1, found
        return found[0]

    def revisions(self, native_id: str) -> list[RevisionView]:
        """List what happened to an incident."""
        hub = self.hub(native_id)
        return self.journal.ask_now(incidents.revisions_of(TENANT, hub.id))

    def writes(self, native_id: str) -> list[IncidentWrite]:
        """List all writes of an incident."""
        return self.journal.ask_now(incident_writes.listed(TENANT, self.hub(native_id).id))

    def incident_ids(self) -> list[IncidentId]:
        """List the incidents that stand for themselves."""
        return [row.id for row in self.journal.ask_now(incidents.listed(TENANT))]

    def take_calls(self) -> list[str]:
        """List the writing calls since the last look."""
        calls = [*self.origin.calls, *self.mirror.calls]
        self.origin.calls.clear()
        self.mirror.calls.clear()
        return [call for call in calls if call in {"create", "update", "comment"}]
