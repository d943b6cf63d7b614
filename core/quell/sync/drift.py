"""First contact: lists what differs in copies that nobody has accepted, and accepts it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from quell.domain.hub import Hub, RevisionDraft, Step, changed_fields
from quell.domain.ids import SourceId
from quell.domain.incident import Origin
from quell.journal import hubs, links, sync_switches
from quell.sync.absorb.absorb import events_of
from quell.sync.absorb.first_contact import Drift, accept, drift_of, gave_way
from quell.sync.bench import Bench
from quell.sync.plan import plan
from quell.sync.rules import Rules

__all__ = ["accept_drift", "list_drift"]


async def list_drift(bench: Bench) -> list[Drift]:
    """List every difference that waits for a person, with what accepting it would write."""
    rules = await bench.rules()
    found: list[Drift] = []
    for incident_id in await bench.journal.ask(links.pending(bench.tenant_id)):
        hub = await bench.journal.ask(hubs.get(bench.tenant_id, incident_id))
        found += drift_of(hub, rules)
    return found


async def accept_drift(bench: Bench, source_id: SourceId | None, by: str) -> int:
    """Accept a source, or all: settle what differs and plan the writes at a capped rate.

    Gives how many incidents that concerned.
    """
    rules = await bench.rules()
    waiting = await bench.journal.ask(links.pending(bench.tenant_id, source_id))
    apart = timedelta(minutes=1) / max(rules.policy.accepted_per_minute, 1)
    for place, incident_id in enumerate(waiting):
        decide = _accepting(source_id, rules, place * apart, by)
        await bench.journal.commit(hubs.change(bench.tenant_id, incident_id, decide))
    for source in bench.sides:
        if source_id in (None, source.source_id):
            write = sync_switches.accept_source(
                bench.tenant_id, source.source_id, by, chain=bench.worker
            )
            await bench.journal.commit(write)
    return len(waiting)


def _accepting(
    source_id: SourceId | None, rules: Rules, delay: timedelta, by: str
) -> Callable[[Hub, datetime], Step]:
    def decide(hub: Hub, now: datetime) -> Step:
        settled = accept(hub, source_id, rules)
        changes = dict(changed_fields(hub.fields, settled.fields))
        draft = RevisionDraft(
            origin=Origin.ADOPTION,
            events=events_of(changes, is_first=False),
            changes=changes,
            happened_at=now,
        )
        planned = plan(settled, rules, now, delay=delay)
        lost = gave_way(hub, source_id, rules, by)
        return Step(hub=planned, revision=draft if changes else None, conflicts=lost)

    return decide
