"""What the parts of sync share: journal, sources, policy, and the rules as they stand now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from quell.domain.hub import Hub, Sighting, Step
from quell.domain.ids import SourceId, TenantId, WorkerId
from quell.domain.ports import ObservedIncident
from quell.journal import Journal, sync_switches
from quell.sync.absorb import absorb
from quell.sync.merge import merge
from quell.sync.policy import SyncPolicy
from quell.sync.rules import Rules
from quell.sync.sides import Sides

__all__ = ["Bench", "Decider"]


@dataclass(frozen=True, slots=True)
class Decider:
    """The pure rules, as the journal asks them while it stores."""

    rules: Rules

    @property
    def tenant_id(self) -> TenantId:
        """Tell whose incidents these are."""
        return self.rules.tenant_id

    def system(self, source_id: SourceId) -> str:
        """Tell which product a source is an instance of."""
        return self.rules.sides.system(source_id)

    def is_mirror(self, source_id: SourceId) -> bool:
        """Tell whether copies are made there."""
        return self.rules.sides.is_mirror(source_id)

    def absorb(self, hub: Hub, seen: ObservedIncident, context: Sighting) -> Step:
        """Take an observation into a hub."""
        return absorb(hub, seen, self.rules, context)

    def merge(self, winner: Hub, loser: Hub, now: datetime) -> tuple[Step, Step]:
        """Make one incident an alias of another."""
        return merge(winner, loser, self.rules, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything that polling and writing work with, for one tenant."""

    journal: Journal
    tenant_id: TenantId
    sides: Sides
    policy: SyncPolicy
    worker: WorkerId
    secret: bytes = field(repr=False)

    async def rules(self) -> Rules:
        """Give the rules with the modes that hold now."""
        return Rules(
            tenant_id=self.tenant_id,
            sides=self.sides,
            policy=self.policy,
            secret=self.secret,
            modes=await self._modes(),
        )

    async def _modes(self) -> dict[SourceId, str]:
        if self.policy.mode != "auto":
            return {source.source_id: self.policy.mode for source in self.sides.mirrors()}
        settled = await self.journal.ask(sync_switches.modes(self.tenant_id))
        return {source_id: mode for source_id, (mode, _) in settled.items()}
