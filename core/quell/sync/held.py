"""What would be written where, if what waits for a person or for its time were let go. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from quell.domain.hub import Hub, IncidentWrite, WriteState
from quell.domain.ids import SourceId
from quell.journal import hubs, incident_writes, links, sync_switches
from quell.sync.absorb.first_contact import accept
from quell.sync.bench import Bench
from quell.sync.plan import plan
from quell.sync.rules import Rules

__all__ = ["HeldWrite", "list_held"]

#: most incidents with planned writes that are looked at
MOST = 10_000


class HeldWrite(msgspec.Struct, frozen=True, kw_only=True):
    """One write that would be made."""

    incident_id: str
    source_id: SourceId
    #: empty for a copy that is not made yet
    native_id: str
    #: `create`, `update`, `comment`, …
    kind: str
    #: what it would say, raw
    what: dict[str, Any]
    #: what it waits for
    waits_for: str


async def list_held(bench: Bench) -> list[HeldWrite]:
    """List every write that is planned, parked, or would be planned once drift is accepted."""
    rules = await bench.rules()
    is_stopped = await bench.journal.ask(sync_switches.is_stopped(bench.tenant_id))
    pending = await bench.journal.ask(links.pending(bench.tenant_id))
    waiting = await bench.journal.ask(incident_writes.waiting(bench.tenant_id, MOST))
    found: list[HeldWrite] = []
    for incident_id in dict.fromkeys([*pending, *waiting]):
        hub, now = await bench.journal.ask(hubs.at_now(bench.tenant_id, incident_id))
        found += _planned(hub, now, is_stopped)
        found += _once_accepted(hub, rules, now)
    return found


def _planned(hub: Hub, now: datetime, is_stopped: bool) -> Iterator[HeldWrite]:
    for write in hub.writes:
        yield _held(hub, write, _reason(write, now, is_stopped))


def _reason(write: IncidentWrite, now: datetime, is_stopped: bool) -> str:
    if write.state is WriteState.PARKED:
        return f"a person: it was refused ({write.error})"
    if is_stopped:
        return "the halt to be lifted"
    if write.not_before is not None and write.not_before > now:
        why = f" ({write.error})" if write.error else ""
        return f"{write.not_before.isoformat(timespec='seconds')}{why}"
    return "the next pass"


def _once_accepted(hub: Hub, rules: Rules, now: datetime) -> Iterator[HeldWrite]:
    after = accept(hub, None, rules)
    if after == hub:
        return
    known = {write.id for write in hub.writes}
    for write in plan(after, rules, now).writes:
        if write.id not in known and write.is_open:
            yield _held(after, write, "the drift to be accepted")


def _held(hub: Hub, write: IncidentWrite, waits_for: str) -> HeldWrite:
    link = hub.link(write.link_id)
    return HeldWrite(
        incident_id=hub.id,
        source_id=write.source_id,
        native_id=link.native_id if link is not None else "",
        kind=write.kind.value,
        what=write.intended,
        waits_for=waits_for,
    )
