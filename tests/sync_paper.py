"""One incident on paper: the pure rules of sync with nothing around them, no journal and no loop."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from tests.sync_model import Detector, ManualClock, Mirror, ModelSource

from quell.domain.hub import (
    Acceptance,
    Hub,
    IncidentWrite,
    Link,
    Mark,
    Sighting,
    Step,
    WriteKind,
    WriteState,
)
from quell.domain.ids import IncidentId, TenantId
from quell.domain.incident import Origin
from quell.sync.absorb.absorb import absorb, take
from quell.sync.absorb.reconcile import reconcile
from quell.sync.policy import SyncPolicy
from quell.sync.rules import Rules
from quell.sync.sides import Sides

__all__ = ["Paper"]

TENANT = TenantId("t")


class Paper:
    """A hub with a copy in a product that detects and one of ours in a mirror, in step."""

    def __init__(self, *, mode: str = "replica", is_paired: bool = True, **policy: Any) -> None:
        self.clock = ManualClock()
        self.origin = Detector(self.clock, "origin")
        self.mirror = Mirror(self.clock, "mirror")
        self.sides = Sides([(self.origin, "detects"), (self.mirror, "mirrors")])
        self.mode = mode
        self.policy = SyncPolicy(mode="auto", **policy)
        now = self.clock.now()
        self.hub = Hub(tenant_id=TENANT, id=IncidentId("i"), created_at=now, updated_at=now)
        self.origin.add("1", title="one")
        self.see(self.origin, "1")
        if is_paired:
            self.mirror.add("m", title="one").created_for = "t/origin/1"
            self.see(self.mirror, "m")

    @property
    def rules(self) -> Rules:
        """Give the rules as they stand now."""
        return Rules(
            tenant_id=TENANT,
            sides=self.sides,
            policy=self.policy,
            secret=b"k",
            modes={self.mirror.source_id: self.mode},
        )

    # -- looking -------------------------------------------------------------------------------

    def sighting(self, **changes: Any) -> Sighting:
        """Give what surrounds a look at this moment."""
        plain = Sighting(now=self.clock.now(), origin=Origin.LIVE)
        return msgspec.structs.replace(plain, **changes)

    def see(self, source: ModelSource, native_id: str, **context: Any) -> Step:
        """Take in what a copy says, as a poll does."""
        step = absorb(self.hub, source.observed(native_id), self.rules, self.sighting(**context))
        number = self.hub.revision + (step.revision is not None)
        self.hub = step.hub.replace(revision=number)
        return step

    def read(self, source: ModelSource, native_id: str) -> Link:
        """Let a copy's link say what it says now, its shadow staying: what reconcile is given."""
        link = self.link(source, native_id)
        seen = source.observed(native_id)
        blind = self.hub.replace(merged_into=IncidentId("kept from reconciling"))
        looked, _ = take(blind, seen, self.rules, self.sighting())
        self.hub = looked.replace(merged_into=None)
        return msgspec.structs.replace(self.link(source, native_id), id=link.id)

    def reconcile(self) -> tuple[Any, ...]:
        """Bring the fields together; gives the conflicts."""
        self.hub, conflicts = reconcile(self.hub, self.sides, self.policy)
        return conflicts

    def link(self, source: ModelSource, native_id: str) -> Link:
        """Give the link of a copy."""
        link = self.hub.link_at(source.source_id, native_id)
        assert link is not None
        return link

    @property
    def here(self) -> Link:
        """Give the link of the copy in which the incident began."""
        return self.link(self.origin, "1")

    @property
    def there(self) -> Link:
        """Give the link of the copy in the mirror."""
        return self.link(self.mirror, "m")

    def mark(self, name: str) -> Mark:
        """Tell where a value came from."""
        return self.hub.marks[name]

    # -- changing ------------------------------------------------------------------------------

    def alter(self, link: Link, **changes: Any) -> None:
        """Change what is on record of a copy."""
        self.hub = self.hub.with_link(msgspec.structs.replace(link, **changes))

    def wait_for_a_person(self, link: Link) -> None:
        """Let the differences of a copy be nobody's decision yet."""
        self.alter(link, acceptance=Acceptance.PENDING)

    def pass_time(self, minutes: float) -> None:
        """Let time go by."""
        self.clock.advance(seconds=timedelta(minutes=minutes).total_seconds())

    # -- writes --------------------------------------------------------------------------------

    def updates(self, *states: WriteState) -> list[IncidentWrite]:
        """List the updates in some states; the planned ones where none is named."""
        wanted = states or (WriteState.PLANNED,)
        writes = (one for one in self.hub.writes if one.kind is WriteKind.UPDATE)
        return [one for one in writes if one.state in wanted]

    def put(self, write: IncidentWrite, **changes: Any) -> None:
        """Change a write that is on record."""
        self.hub = self.hub.with_write(msgspec.structs.replace(write, **changes))
