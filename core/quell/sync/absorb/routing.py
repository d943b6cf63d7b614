"""Asks the rules on where an incident goes, and makes of the answer what follows. Pure."""

from __future__ import annotations

import msgspec

from quell.domain.hub import Acceptance, Hub, Link, Routing, Sighting
from quell.domain.offers import Notice
from quell.sync.absorb.first_contact import meet
from quell.sync.rules import Rules

__all__ = ["routed"]


def routed(
    before: Hub, hub: Hub, rules: Rules, context: Sighting
) -> tuple[Hub, tuple[Notice, ...]]:
    """Ask the rules about an incident that `before` has become.

    What they left out and now let in meets its copies as if for the first time: differences
    that grew meanwhile are drift.
    """
    if hub.merged_into is not None or rules.sides.detects(hub) is None:
        return hub, ()
    routing = None
    if not rules.routes.is_plain:
        if context.view is None:
            return hub, ()
        view = msgspec.structs.replace(context.view, fields=hub.fields)
        routing = rules.routes.decide(view, is_in_step=_is_in_step(before, rules))
    after = hub.replace(routing=routing)
    if _is_left_out(hub) and not _is_left_out(after):
        for link in _copies(after, rules):
            accepted = msgspec.structs.replace(link, acceptance=Acceptance.ACCEPTED)
            after = meet(after, accepted, rules, is_accepted=context.is_accepted)
    return after, _notices(before, after, routing)


def _is_left_out(hub: Hub) -> bool:
    return hub.routing is not None and not hub.routing.is_synced


def _is_in_step(before: Hub, rules: Rules) -> bool:
    """Tell whether an incident had a copy that was kept in step until now."""
    if _is_left_out(before) or rules.sides.detects(before) is None:
        return False
    return bool(_copies(before, rules))


def _copies(hub: Hub, rules: Rules) -> list[Link]:
    return [link for link in hub.links if link.is_live and rules.sides.is_mirror(link.source_id)]


def _notices(before: Hub, after: Hub, routing: Routing | None) -> tuple[Notice, ...]:
    known = before.routing.unanswered if before.routing is not None else ""
    if routing is None or not routing.unanswered or routing.unanswered == known:
        return ()
    summary = f"An incident goes nowhere new: {routing.unanswered}"
    return (
        Notice(
            kind="parked",
            tenant_id=after.tenant_id,
            summary=summary,
            references={"incident": after.id},
        ),
    )
