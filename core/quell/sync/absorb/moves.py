"""What happens to an incident whose alerts went to another one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from quell.domain.hub import Hub, LostAlerts, RevisionDraft, Step
from quell.domain.incident import Alert, Origin
from quell.domain.playbook import IncidentEvent
from quell.sync.absorb.comments import tell_our_copies
from quell.sync.plan import plan
from quell.sync.remarks import line
from quell.sync.rules import Rules

__all__ = ["lose", "tell_of_loss"]


def lose(hub: Hub, lost: LostAlerts, rules: Rules, now: datetime) -> Step:
    """Take note that alerts of this incident are another one's now; our copies are told."""
    alerts = [alert.id for alert in lost.alerts]
    draft = RevisionDraft(
        origin=Origin.LIVE,
        events=(IncidentEvent.UPDATED, IncidentEvent.ALERTS_MOVED),
        changes={
            "alerts": [alerts, []],
            "entities": [list(lost.entities), []],
            "alerts_moved_to": [None, lost.to.id],
        },
        happened_at=now,
    )
    told = tell_of_loss(hub, lost.alerts, _where(lost.to, rules))
    return Step(hub=plan(told, rules, now), revision=draft)


def tell_of_loss(hub: Hub, alerts: Sequence[Alert], where: str) -> Hub:
    """Tell the copies that cannot hold alerts which ones the incident has lost, and where they are."""
    if not alerts:
        return hub
    head = f"Moved to {where}:" if where else "Not part of this incident any more:"
    shown = [f"* {line(one.title) or 'untitled'} (alert {line(one.id)})" for one in alerts]
    text = "\n".join([head, *shown])
    # an alert may go, come back and go again: each time is told
    return tell_our_copies(hub, f"{hub.revision}/{text}", text)


def _where(hub: Hub, rules: Rules) -> str:
    """Name every copy of the incident that has the alerts now."""
    named = [
        link.url or f"{link.system} {link.number or link.native_id}"
        for link in rules.sides.taking_part(hub)
    ]
    return ", ".join(named) or hub.id
