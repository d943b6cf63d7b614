"""Plans which fields a copy still has to be given. Pure.

All fields that can be written now are one write. Those that are left to the vendor's own
connector for a while wait by themselves; those that were tried, or were told to wait, stay as
they are while they are wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from quell.domain.hub import (
    Hub,
    IncidentWrite,
    Link,
    WriteKind,
    WriteState,
)
from quell.sync.derive import due_derived
from quell.sync.plan.due import due_fields
from quell.sync.plan.patience import field_waits
from quell.sync.plan.writes import PATIENT, is_patient, new_write, superseded
from quell.sync.remarks import (
    content_digest,
)
from quell.sync.rules import Rules

__all__ = ["plan_fields"]

Fields = dict[str, Any]


def plan_fields(
    hub: Hub, link: Link, rules: Rules, now: datetime, delay: timedelta, caused_by: str | None
) -> Hub:
    """Bring the planned updates of one copy up to date."""
    mine = [w for w in hub.writes if w.link_id == link.id and w.kind is WriteKind.UPDATE]
    if any(write.state is WriteState.SENDING for write in mine):
        return hub
    due = due_fields(hub, link, rules.sides, rules.policy)
    due |= due_derived(hub, link, rules.sides, rides_along=bool(due), ignored=rules.policy.ignored)
    due = _unparked(due, mine)
    planned = [write for write in mine if write.state is WriteState.PLANNED]
    for write in [write for write in planned if _stands_alone(write) and _is_wanted(write, due)]:
        planned.remove(write)
        due = {name: raw for name, raw in due.items() if name not in write.intended}
    groups = _groups(hub, link, due, rules, now)
    for write in planned:
        if (found := _group_of(write, groups)) is not None:
            del groups[found[0]]
            continue
        hub = hub.with_write(superseded(write, "the incident went on"))
        if _is_wanted(write, due):
            caused_by = caused_by or write.caused_by
    for at, group in groups.items():
        prompt = now + delay if delay else None
        hub = hub.with_write(_update(hub, link, group, now, at, prompt, caused_by))
    return hub


def _groups(
    hub: Hub, link: Link, due: Fields, rules: Rules, now: datetime
) -> dict[datetime | None, Fields]:
    """Sort fields by the moment until which each is left to somebody else; None is at once."""
    groups: dict[datetime | None, Fields] = {}
    for name, raw in due.items():
        at = field_waits(hub, link, name, rules)
        groups.setdefault(at if at is not None and at > now else None, {})[name] = raw
    return groups


def _group_of(
    write: IncidentWrite, groups: dict[datetime | None, Fields]
) -> tuple[datetime | None] | None:
    """Find the group that is planned already, exactly so."""
    for at, group in groups.items():
        if group == write.intended and is_patient(write) == (at is not None):
            return (at,)
    return None


def _update(
    hub: Hub,
    link: Link,
    intended: Fields,
    now: datetime,
    at: datetime | None,
    prompt: datetime | None,
    caused_by: str | None,
) -> IncidentWrite:
    key = f"update/{link.id}/{now.isoformat()}/{content_digest(intended)}"
    return new_write(
        hub,
        link=link,
        source_id=link.source_id,
        kind=WriteKind.UPDATE,
        key=key if at is None else f"{PATIENT}{key}",
        intended=intended,
        now=now,
        not_before=at if at is not None else prompt,
        caused_by=caused_by,
    )


def _stands_alone(write: IncidentWrite) -> bool:
    """Tell whether a write is not joined with others: it failed, was cut out, or has its turn."""
    return bool(write.error) or (write.not_before is not None and not is_patient(write))


def _is_wanted(write: IncidentWrite, due: Fields) -> bool:
    return all(name in due and due[name] == raw for name, raw in write.intended.items())


def _unparked(due: Fields, writes: Sequence[IncidentWrite]) -> Fields:
    """Leave out what the product has refused already: a person looks at that."""
    parked = [write.intended for write in writes if write.state is WriteState.PARKED]
    return {
        name: raw
        for name, raw in due.items()
        if not any(name in one and one[name] == raw for one in parked)
    }
