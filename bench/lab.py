"""A lab for the engine: one action that counts its calls, and incidents that start runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from quell.domain.action import (
    Action,
    Call,
    Effect,
    NoParams,
    Resolver,
    action,
    connector_types,
)
from quell.domain.fields import FieldRule
from quell.domain.ids import SourceId, TenantId, WorkerId
from quell.domain.incident import IncidentFields, Severity, Status
from quell.domain.outcome import Outcome, Succeeded
from quell.domain.ports import Detail, ObservedIncident, PolledPage
from quell.journal import Journal
from quell.playbooks import Catalogue
from quell.runtime.clock import SystemClock
from quell.sync import Sync, SyncPolicy

__all__ = ["Lab", "LabRegistry", "LabSource", "let_happen", "observed", "playbook"]

#: incidents in one page of the lab's list
PAGE = 50


@dataclass(slots=True)
class Lab:
    """A product that answers after some time, and counts."""

    seconds: float = 0.0
    calls: int = 0

    async def answer(self) -> None:
        """Take as long as a call takes."""
        self.calls += 1
        await asyncio.sleep(self.seconds)


@action("bench.look", system="lab", target=None, effect=Effect.READ)
async def look(call: Call[NoParams], lab: Lab) -> Outcome:
    """Read nothing."""
    await lab.answer()
    return Succeeded()


@action("bench.note", system="lab", target=None, effect=Effect.ANNOTATE, is_idempotent=True)
async def note(call: Call[NoParams], lab: Lab) -> Outcome:
    """Change nothing, with all that a change costs the journal."""
    await lab.answer()
    return Succeeded()


class LabRegistry:
    """What a runtime would offer to the engine, with the lab as the only connector."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.catalogue = Catalogue((look, note))

    def actions(self, name: str, system: str | None = None) -> Sequence[Action]:
        """List the implementations of an action."""
        return self.catalogue.find(name, system)

    def resolver(self, target: type) -> Resolver | None:
        """Find none: the lab has no entities."""
        return None

    def connectors(self, function: Callable[..., Any], identity: str) -> Mapping[str, Any]:
        """Give the lab to whatever asks for a connector."""
        return dict.fromkeys(connector_types(function), self._lab)


def playbook(name: str, verb: str) -> str:
    """Write a playbook of three steps, one after the other."""
    return (
        f"quell: 1\nplaybook: {name}\ntrigger: {{incident: created}}\nsteps:\n"
        f"  - {{id: a, do: {verb}}}\n"
        f"  - {{id: b, do: {verb}, after: a.settled}}\n"
        f"  - {{id: c, do: {verb}, after: b.settled}}\n"
    )


class LabSource:
    """A product whose list is prepared: incidents come about without any network."""

    can_create = False
    writable: frozenset[str] = frozenset()
    comment_limit = 1000
    comments_at_most = 100
    edits_comments = False
    tasks_at_most = 0
    carried: frozenset[str] = frozenset()
    fields: Mapping[str, FieldRule] = {}
    poll_every = 3600.0
    sweep_every = 0.0
    sweep_back = timedelta(0)

    def __init__(
        self,
        pages: Sequence[Sequence[ObservedIncident]],
        *,
        system: str = "lab",
        source_id: str = "lab",
    ) -> None:
        self.system = system
        self.source_id = SourceId(source_id)
        self._pages = pages

    async def poll(self, cursor: str | None) -> AsyncIterator[PolledPage]:
        """Give one prepared list at each poll."""
        number = int(cursor or 0)
        rows = self._pages[number] if number < len(self._pages) else ()
        for start in range(0, max(len(rows), 1), PAGE):
            page = tuple(rows[start : start + PAGE])
            yield PolledPage(incidents=page, cursor=str(number + 1))

    async def sweep(
        self, since: datetime, *, until: datetime | None = None, cursor: str | None = None
    ) -> AsyncIterator[PolledPage]:
        """Find nothing that a poll missed."""
        yield PolledPage(incidents=(), cursor=cursor or "0")

    async def count(self, since: datetime, until: datetime) -> int | None:
        """Tell nothing beforehand."""
        return None

    def reached(self, cursor: str | None) -> datetime | None:
        """Tell nothing of a list that was prepared."""
        return None

    async def fetch(self, native_id: str, *, details: bool = True) -> ObservedIncident:
        """Find an incident in the prepared lists."""
        return next(one for page in self._pages for one in page if one.native_id == native_id)

    async def fetch_details(
        self, seen: ObservedIncident, parts: Collection[Detail]
    ) -> ObservedIncident:
        """Give what was listed: it is whole."""
        return seen

    async def put_task(self, native_id: str, task: Any, key: str) -> Any:
        """Refuse: nothing is written to the lab."""
        raise NotImplementedError

    def project(self, name: str, fields: IncidentFields, native: Mapping[str, Any]) -> Any:
        """Leave every field as it is."""
        return native.get(name)

    def name_for(self, created_for: str) -> str:
        """Give a name for a copy."""
        return f"copy-of-{created_for}"

    async def create(self, incident: Any) -> ObservedIncident:
        """Refuse: nothing is written to the lab."""
        raise NotImplementedError

    async def update(self, base: ObservedIncident, changes: Mapping[str, Any]) -> ObservedIncident:
        """Refuse: nothing is written to the lab."""
        raise NotImplementedError

    async def comment(self, native_id: str, text: str, key: str) -> Any:
        """Refuse: nothing is written to the lab."""
        raise NotImplementedError

    async def edit_comment(self, native_id: str, comment_key: str, text: str) -> Any:
        """Refuse: nothing is written to the lab."""
        raise NotImplementedError

    async def find_comment(self, native_id: str, key: str) -> None:
        """Find none."""


def observed(number: int) -> ObservedIncident:
    """Make an incident of the lab that came about just now."""
    now = datetime.now(UTC)
    return ObservedIncident(
        source_id=SourceId("lab"),
        native_id=str(number),
        native={"title": f"incident {number}", "severity": "high", "status": "new"},
        fields=IncidentFields(
            title=f"incident {number}", severity=Severity.HIGH, status=Status.NEW
        ),
        stamp=now.isoformat(),
        changed_at=now,
        created_at=now,
        alerts=(),
        comments=(),
    )


async def let_happen(journal: Journal, tenant_id: TenantId, worker: WorkerId, count: int) -> None:
    """Let incidents come about, after a first poll that finds none: at first contact is no news."""
    source = LabSource([[], [observed(number) for number in range(count)]])
    sync = Sync(
        journal=journal,
        tenant_id=tenant_id,
        sources=[(source, "detects")],
        policy=SyncPolicy(),
        clock=SystemClock(),
        worker=worker,
        wake=lambda: None,
        hmac_key=b"k" * 32,
    )
    for _ in range(2):
        await sync.poll(source.source_id)
