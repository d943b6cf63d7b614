"""Loads and stores an incident with all its copies as one value, so that rules can be pure.

Every change goes the same way: lock the incident, load its hub, let a rule make a step of it,
store what differs. A page of observations and its cursor are stored in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from quell.domain.hub import Hub, LostAlerts, Sighting, Step
from quell.domain.ids import IncidentId, SourceId, TenantId, WorkerId
from quell.domain.incident import Origin
from quell.domain.ports import ObservedIncident
from quell.errors import NotFoundError
from quell.journal import cursors, incident_writes, leases
from quell.journal.hub_rows import load, save
from quell.journal.taking import absorb_one
from quell.journal.writer import Question, Transaction, Write

__all__ = ["CursorMove", "Decisions", "Stored", "at_now", "change", "get", "store"]


class Decisions(Protocol):
    """The pure rules that the journal asks while it stores."""

    @property
    def tenant_id(self) -> TenantId:
        """Tell whose incidents these are."""
        ...

    def system(self, source_id: SourceId) -> str:
        """Tell which product a source is an instance of."""
        ...

    @property
    def has_routes(self) -> bool:
        """Tell whether rules have to see the incident whole to say where it goes."""
        ...

    def is_mirror(self, source_id: SourceId) -> bool:
        """Tell whether copies are made there."""
        ...

    def belongs_in(self, hub: Hub, source_id: SourceId) -> bool:
        """Tell whether a copy of an incident is meant to be in a source."""
        ...

    def absorb(self, hub: Hub, seen: ObservedIncident, context: Sighting) -> Step:
        """Take an observation into a hub."""
        ...

    def merge(self, winner: Hub, loser: Hub, context: Sighting) -> tuple[Step, Step]:
        """Make one incident an alias of another."""
        ...

    def inherit(
        self, winner: Hub, before: Hub, loser: Hub, seen: ObservedIncident, context: Sighting
    ) -> Step:
        """Give the winner of a merge what is said in a copy of the loser later."""
        ...

    @property
    def tells_of_natives(self) -> bool:
        """Tell whether related incidents that began in a mirror are told of."""
        ...

    def is_native(self, hub: Hub) -> bool:
        """Tell whether an incident began in a mirror; never, where such ones are not told of."""
        ...

    def mention(self, hub: Hub, native: Hub, now: datetime) -> Step:
        """Say on an incident that a related one began in a mirror."""
        ...

    def lose(self, hub: Hub, lost: LostAlerts, now: datetime) -> Step:
        """Take note that alerts of an incident are another one's now."""
        ...


class CursorMove(msgspec.Struct, frozen=True, kw_only=True):
    """Where a source's cursor goes with a page, from the version that was read."""

    source_id: SourceId
    version: int
    to: str
    #: the cursor's own name, where it is not that of the source's polls
    name: str = ""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What storing observations came to."""

    incidents: int = 0
    revisions: int = 0
    #: incidents that have writes to be sent now
    with_writes: tuple[IncidentId, ...] = ()
    #: ids that were put aside and were not before
    parked: tuple[str, ...] = ()


def get(tenant_id: TenantId, incident_id: IncidentId) -> Question[Hub]:
    """Give an incident with all its copies. Raises NotFoundError."""

    def ask(tx: Transaction) -> Hub:
        hub = load(tx, tenant_id, incident_id)
        if hub is None:
            raise NotFoundError(what="incident", name=incident_id)
        return hub

    return ask


def at_now(tenant_id: TenantId, incident_id: IncidentId) -> Question[tuple[Hub, datetime]]:
    """Give an incident with all its copies, and the database's time. Raises NotFoundError."""
    return lambda tx: (get(tenant_id, incident_id)(tx), tx.now)


def change(
    tenant_id: TenantId,
    incident_id: IncidentId,
    decide: Callable[[Hub, datetime], Step],
    *,
    lease: tuple[WorkerId, int] | None = None,
) -> Write[Hub | None]:
    """Let a rule change one incident. None, and nothing happens, when the lease was lost."""

    def apply(tx: Transaction) -> Hub | None:
        if lease is not None and not leases.holds(tx, tenant_id, f"incident/{incident_id}", *lease):
            return None
        before = load(tx, tenant_id, incident_id, is_locked=True)
        if before is None:
            raise NotFoundError(what="incident", name=incident_id)
        return save(tx, before, decide(before, tx.now))

    return Write(apply, locks=("incident", tenant_id, incident_id))


def store(
    rules: Decisions,
    seen: Sequence[ObservedIncident],
    *,
    origin: Origin,
    cursor: CursorMove | None = None,
    poison: dict[str, str] | None = None,
) -> Write[Stored]:
    """Store observations of a source, with what follows from each, and move its cursor."""

    def apply(tx: Transaction) -> Stored:
        parked: list[str] = []
        if cursor is not None:
            name = SourceId(cursor.name or cursor.source_id)
            cursors.move(tx, rules.tenant_id, name, cursor.version, cursor.to)
            for native_id, reason in (poison or {}).items():
                if cursors.park_item(tx, rules.tenant_id, cursor.source_id, native_id, reason):
                    parked.append(native_id)
        touched: dict[IncidentId, int] = {}
        for one in seen:
            for before, hub in absorb_one(tx, rules, one, origin):
                touched[hub.id] = touched.get(hub.id, 0) + hub.revision - before
        open_ones = [one for one in touched if _has_open(tx, rules.tenant_id, one)]
        return Stored(
            incidents=len(seen),
            revisions=sum(touched.values()),
            with_writes=tuple(open_ones),
            parked=tuple(parked),
        )

    source = seen[0].source_id if seen else ""
    return Write(apply, locks=("source", rules.tenant_id, source))


def _has_open(tx: Transaction, tenant_id: TenantId, incident_id: IncidentId) -> bool:
    return any(one.is_open for one in incident_writes.unfinished(tx, tenant_id, incident_id))
