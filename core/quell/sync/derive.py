"""What an incident has from its alerts: first and last activity, tactics, products. Pure.

Nobody decides these fields between copies. They follow from the alerts of the product that the
incident began in; an incident that began in a mirror also has what the mirror says of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from quell.domain.hub import Acceptance, Hub, Link
from quell.domain.incident import Alert, IncidentFields
from quell.domain.ports import ObservedIncident
from quell.sync.sides import Sides

__all__ = [
    "WRITTEN",
    "derived",
    "due_derived",
    "follow_alerts",
    "is_stale",
    "joined",
    "worth_telling",
]

#: derived fields that some products let us write
WRITTEN = ("first_activity", "last_activity")
#: a copy that is further behind than this is told although nothing else has to be written
STALE = timedelta(hours=1)


def derived(
    fields: IncidentFields, alerts: Iterable[Alert], *, is_whole: bool = False
) -> IncidentFields:
    """Give the fields with what follows from alerts: all of them, or some that are new or changed."""
    told = list(alerts)
    if not told:
        return fields
    found = IncidentFields(
        first_activity=_least(alert.first_activity for alert in told),
        last_activity=_most(alert.last_activity or alert.first_activity for alert in told),
        tactics=frozenset[str]().union(*(alert.tactics for alert in told)),
        products=frozenset(alert.product for alert in told if alert.product),
    )
    before = IncidentFields() if is_whole else fields
    return _with(fields, _union(before, found))


def joined(winner: IncidentFields, loser: IncidentFields) -> IncidentFields:
    """Give the winner's fields with what followed from the alerts of both."""
    return _with(winner, _union(winner, loser))


def follow_alerts(hub: Hub, seen: ObservedIncident, changed: Iterable[Alert], sides: Sides) -> Hub:
    """Let the fields follow from the alerts that an observation tells of."""
    is_mirror = sides.is_mirror(seen.source_id)
    if is_mirror and any(not sides.is_mirror(link.source_id) for link in hub.links):
        return hub  # the same alerts under other names
    is_alone = len([one for one in hub.links if sides.is_mirror(one.source_id) == is_mirror]) == 1
    link = hub.link_at(seen.source_id, seen.native_id)
    is_stale = link is not None and link.is_past(seen.changed_at)
    if seen.alerts is not None and is_alone and not is_stale:
        fields = derived(hub.fields, seen.alerts, is_whole=True)
    else:
        fields = derived(hub.fields, (*seen.news, *changed))
    return hub.replace(fields=joined(fields, seen.fields) if is_mirror else fields)


def worth_telling(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Give the changes that make a revision: that an alert goes on is none by itself."""
    return dict(changes) if changes.keys() - {"last_activity"} else {}


def due_derived(
    hub: Hub,
    link: Link,
    sides: Sides,
    *,
    rides_along: bool,
    ignored: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Give the raw values of derived fields that our own copy still has to be given, by field.

    By themselves they are worth a write only where the copy is far behind.
    """
    if not link.is_ours or link.acceptance is Acceptance.PENDING:
        return {}
    native = link.observed.native
    due = {
        name: sides.target(link, name, hub.fields, native)
        for name in WRITTEN
        if name not in ignored
        and getattr(hub.fields, name) is not None
        and sides.writes(link, name)
        and not sides.stands(link, name, hub.fields, native)
    }
    is_far = any(is_stale(hub.fields, link.observed.fields, name) for name in due)
    return due if rides_along or is_far else {}


def is_stale(fields: IncidentFields, copy: IncidentFields, name: str) -> bool:
    """Tell whether a copy is so far from what follows from alerts that this alone is worth a write."""
    there: datetime | None = getattr(copy, name)
    return there is None or abs(getattr(fields, name) - there) > STALE


def _with(fields: IncidentFields, found: IncidentFields) -> IncidentFields:
    return fields.replace(
        {
            "first_activity": found.first_activity,
            "last_activity": found.last_activity,
            "tactics": found.tactics,
            "products": found.products,
        }
    )


def _union(one: IncidentFields, two: IncidentFields) -> IncidentFields:
    return IncidentFields(
        first_activity=_least((one.first_activity, two.first_activity)),
        last_activity=_most((one.last_activity, two.last_activity)),
        tactics=one.tactics | two.tactics,
        products=one.products | two.products,
    )


def _least(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment), default=None)


def _most(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment), default=None)
