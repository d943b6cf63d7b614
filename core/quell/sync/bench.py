"""What the parts of sync share: journal, sources, policy, and the rules as they stand now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from quell.domain.hub import Hub, LostAlerts, Sighting, Step
from quell.domain.ids import SourceId, TenantId, WorkerId
from quell.domain.ports import ObservedIncident
from quell.journal import Journal, sync_switches
from quell.sync.absorb.absorb import absorb
from quell.sync.absorb.merge import inherit, merge
from quell.sync.absorb.moves import lose
from quell.sync.absorb.natives import is_native, mention
from quell.sync.plan.copies import belongs_in
from quell.sync.policy import SyncPolicy
from quell.sync.routes import Routes
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

    @property
    def has_routes(self) -> bool:
        """Tell whether rules have to see the incident whole to say where it goes."""
        return not self.rules.routes.is_plain

    def belongs_in(self, hub: Hub, source_id: SourceId) -> bool:
        """Tell whether a copy of an incident is meant to be in a source."""
        return belongs_in(hub, source_id, self.rules)

    def absorb(self, hub: Hub, seen: ObservedIncident, context: Sighting) -> Step:
        """Take an observation into a hub."""
        return absorb(hub, seen, self.rules, context)

    def merge(self, winner: Hub, loser: Hub, context: Sighting) -> tuple[Step, Step]:
        """Make one incident an alias of another."""
        return merge(winner, loser, self.rules, context)

    def inherit(
        self, winner: Hub, before: Hub, loser: Hub, seen: ObservedIncident, context: Sighting
    ) -> Step:
        """Give the winner of a merge what is said in a copy of the loser later."""
        return inherit(winner, before, loser, seen, self.rules, context)

    def is_native(self, hub: Hub) -> bool:
        """Tell whether an incident began in a mirror; never, where such ones are not told of."""
        return self.rules.policy.mirror_native and is_native(hub, self.rules)

    @property
    def tells_of_natives(self) -> bool:
        """Tell whether related incidents that began in a mirror are told of."""
        return self.rules.policy.mirror_native

    def mention(self, hub: Hub, native: Hub, now: datetime) -> Step:
        """Say on an incident that a related one began in a mirror."""
        return mention(hub, native, self.rules, now)

    def lose(self, hub: Hub, lost: LostAlerts, now: datetime) -> Step:
        """Take note that alerts of an incident are another one's now."""
        return lose(hub, lost, self.rules, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything that polling and writing work with, for one tenant."""

    journal: Journal
    tenant_id: TenantId
    sides: Sides
    policy: SyncPolicy
    worker: WorkerId
    secret: bytes = field(repr=False)
    routes: Routes = field(default_factory=Routes)

    async def rules(self) -> Rules:
        """Give the rules with the modes that hold now."""
        return Rules(
            tenant_id=self.tenant_id,
            sides=self.sides,
            policy=self.policy,
            secret=self.secret,
            modes=await self._modes(),
            routes=self.routes,
        )

    async def _modes(self) -> dict[SourceId, str]:
        sources = [one.source_id for one in self.sides.with_copies()]
        wanted = {source_id: self.policy.mode_of(source_id) for source_id in sources}
        modes = {source_id: mode for source_id, mode in wanted.items() if mode != "auto"}
        if len(modes) == len(wanted):
            return modes
        settled = await self.journal.ask(sync_switches.modes(self.tenant_id))
        return {source_id: mode for source_id, (mode, _) in settled.items()} | modes
