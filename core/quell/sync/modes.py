"""How each mirror is kept: which mode holds, why, and what follows when that changes.

What is planned always follows from the mode and the rules that hold now, so that a switch is
only a change of what is planned: nothing is lost by it and nothing is made twice.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from quell.domain.hub import Hub, Sighting, Step
from quell.domain.ids import IncidentId, SourceId
from quell.domain.incident import Origin
from quell.domain.view import IncidentView
from quell.errors import SettingsError
from quell.journal import hubs, incidents, links, sync_switches
from quell.sync.absorb.routing import routed
from quell.sync.bench import Bench
from quell.sync.plan import plan
from quell.sync.plan.copies import wait_for_theirs
from quell.sync.rules import Rules

__all__ = ["SourceMode", "keep_up", "list_modes", "switch_mode"]

#: what follows for one incident: the hub with everything planned
Decide = Callable[[Hub, datetime], Step]


class SourceMode(msgspec.Struct, frozen=True, kw_only=True):
    """The mode of one mirror."""

    source_id: SourceId
    #: None before `auto` has settled
    mode: str | None
    #: `settings`, `auto`, or the person who switched it
    by: str
    reason: str
    at: datetime | None = None
    #: what has been seen since that speaks against it; it is not switched for that
    doubt: str = ""


async def list_modes(bench: Bench) -> list[SourceMode]:
    """List the mirrors with their modes, and what speaks against them by now."""
    settled = await bench.journal.ask(sync_switches.settled(bench.tenant_id))
    return [
        await _described(bench, source.source_id, settled.get(source.source_id))
        for source in bench.sides.with_copies()
    ]


async def switch_mode(
    bench: Bench, source_id: SourceId, mode: Literal["overlay", "replica"], by: str
) -> set[IncidentId]:
    """Switch a mirror to a mode and plan what follows; gives the incidents that have writes now.

    Raises SettingsError where the settings name the mode: the switch would not hold.
    """
    bench.sides.mirror(source_id)
    if (fixed := bench.policy.mode_of(source_id)) != "auto":
        raise SettingsError(
            name=f"tenant.{bench.tenant_id}.sync.mode",
            problem=f"says {fixed!r} for {source_id}, so that a switch would not hold",
            remedy=f'Change it there; or set `modes.{source_id} = "auto"`, then switch again.',
        )
    write = sync_switches.put_mode(bench.tenant_id, source_id, mode, by=by, chain=bench.worker)
    await bench.journal.commit(write)
    return await keep_up(bench, source_id)


async def keep_up(bench: Bench, source_id: SourceId) -> set[IncidentId]:
    """Let the planned copies follow the mode and the rules, where these have changed.

    Gives the incidents that have writes now. Comes to nothing where nothing changed; a try that
    broke off is made again. To be called after a mirror was read to its end.
    """
    await _settle(bench, source_id)
    rules = await bench.rules()
    wanted = {"mode": rules.modes.get(source_id), "rules": rules.routes.digest}
    before = await bench.journal.ask(sync_switches.followed(bench.tenant_id, source_id))
    if before == wanted:
        return set()
    has_switched = bool(before) and before.get("mode") != wanted["mode"]
    with_writes: set[IncidentId] = set()
    for incident_id in await _concerned(bench, source_id):
        decide = _afresh(
            rules,
            None if rules.routes.is_plain else await _view(bench, incident_id),
            source_id if has_switched else None,
        )
        hub = await bench.journal.commit(hubs.change(bench.tenant_id, incident_id, decide))
        if hub is not None and any(write.is_open for write in hub.writes):
            with_writes.add(incident_id)
    await bench.journal.commit(sync_switches.put_followed(bench.tenant_id, source_id, wanted))
    return with_writes


async def _settle(bench: Bench, source_id: SourceId) -> None:
    """Settle what `auto` means for a mirror that has been read to its end, once and for all."""
    if bench.policy.mode_of(source_id) != "auto":
        return
    if source_id in await bench.journal.ask(sync_switches.modes(bench.tenant_id)):
        return
    named = await bench.journal.ask(links.count_naming(bench.tenant_id, source_id))
    mode = "overlay" if named else "replica"
    reason = (
        f"{named} incidents there were made by the product's own connector"
        if named
        else "no incident there was made by the product's own connector"
    )
    write = sync_switches.settle_mode(bench.tenant_id, source_id, mode, reason)
    await bench.journal.commit(write)


async def _concerned(bench: Bench, source_id: SourceId) -> list[IncidentId]:
    """List the incidents that may get a copy now, or whose copies may be kept in step now."""
    missing = await bench.journal.ask(links.incidents_without(bench.tenant_id, source_id))
    left_out = await bench.journal.ask(links.left_out(bench.tenant_id))
    return list(dict.fromkeys([*missing, *left_out]))


async def _view(bench: Bench, incident_id: IncidentId) -> IncidentView:
    return await bench.journal.ask(incidents.view(bench.tenant_id, incident_id))


def _afresh(rules: Rules, view: IncidentView | None, switched: SourceId | None) -> Decide:
    """Ask the rules about an incident again and plan; a source that has switched starts to wait."""

    def decide(hub: Hub, now: datetime) -> Step:
        context = Sighting(now=now, origin=Origin.LIVE, view=view)
        after, notices = routed(hub, hub, rules, context)
        planned = plan(after, rules, now)
        if switched is not None:
            waits = rules.modes.get(switched) == "overlay"
            until = now + rules.policy.grace if waits else None
            planned = wait_for_theirs(planned, switched, until)
        return Step(hub=planned, notices=notices)

    return decide


# -- for people ----------------------------------------------------------------------------------


async def _described(
    bench: Bench, source_id: SourceId, settled: sync_switches.SettledMode | None
) -> SourceMode:
    fixed = bench.policy.mode_of(source_id)
    if fixed != "auto":
        return SourceMode(source_id=source_id, mode=fixed, by="settings", reason="it is set")
    if settled is None:
        reason = "the source has to be read to its end first"
        return SourceMode(source_id=source_id, mode=None, by="auto", reason=reason)
    since = links.made_since(bench.tenant_id, source_id, settled.at)
    theirs, ours = await bench.journal.ask(since)
    return SourceMode(
        source_id=source_id,
        mode=settled.mode,
        by=settled.by,
        reason=settled.reason,
        at=settled.at,
        doubt=_doubt(settled.mode, theirs, ours),
    )


def _doubt(mode: str, theirs: int, ours: int) -> str:
    if mode == "replica" and theirs:
        return f"{theirs} copies made by the product itself have come since"
    if mode == "overlay" and ours and not theirs:
        return f"{ours} copies had to be made by quell since, and the product made none"
    return ""
