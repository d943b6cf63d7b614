"""Brings the fields of an incident's copies together. Pure: nothing is read, sent or stored here.

A side has news when its raw value differs from its own shadow and does not already stand for
the canonical value. What no side changed stays as it is, so lossy mappings never answer each
other. Where two sides have news at once, the field's policy decides and a record is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import msgspec

from quell.domain.hub import Acceptance, Bounds, Conflict, Hub, Link, Mark
from quell.domain.incident import Determination, IncidentFields
from quell.sync.policy import LATEST, SyncPolicy
from quell.sync.sides import FIELDS, Sides

__all__ = ["merged_tags", "plain", "reconcile", "take_over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One side's value for a field, and when it came about."""

    value: Any
    mark: Mark
    link: Link | None


def reconcile(hub: Hub, sides: Sides, policy: SyncPolicy) -> tuple[Hub, tuple[Conflict, ...]]:
    """Take over what the sides changed. Doing it again changes nothing more."""
    links = sides.taking_part(hub)
    values: dict[str, Any] = {}
    marks = dict(hub.marks)
    conflicts: list[Conflict] = []
    for name in FIELDS:
        if name in policy.ignored:
            continue
        if name == "tags":
            values[name] = merged_tags(hub.fields.tags, links)
            continue
        claims = _claims(name, hub, links, sides)
        if claims:
            won = _choose(claims, policy.winner(name))
            values[name], marks[name] = won.value, _kept(won.mark, marks.get(name))
            conflicts += _recorded(name, hub, claims, won)
    moved = tuple(take_over(link) if link in links else link for link in hub.links)
    fields = hub.fields.replace(values)
    return hub.replace(fields=fields, marks=marks, links=moved), tuple(conflicts)


def _kept(mark: Mark, before: Mark | None) -> Mark:
    """Keep what was vouched for: who wins a field does not say who may set off containment."""
    return msgspec.structs.replace(mark, vouched=before.vouched) if before is not None else mark


def take_over(link: Link) -> Link:
    """Let the shadow say what was last read: its news is in the canonical fields now."""
    return msgspec.structs.replace(link, shadow=link.observed)


def merged_tags(tags: frozenset[str], links: Sequence[Link]) -> frozenset[str]:
    """Merge tags as sets: what one side added wins over what another removed."""
    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    for link in links:
        if link.observed.native.get("tags") != link.shadow.native.get("tags"):
            added |= link.observed.fields.tags - link.shadow.fields.tags
            removed |= link.shadow.fields.tags - link.observed.fields.tags
    return (tags - removed) | added


def _claims(name: str, hub: Hub, links: Sequence[Link], sides: Sides) -> list[Claim]:
    """List the values that compete for a field; empty when nobody changed it."""
    news = [link for link in links if _has_news(name, hub.fields, link, sides)]
    claims = [_claim(name, link) for link in news]
    mark = hub.marks.get(name)
    if mark is not None and any(_is_unaware(name, hub, mark, link, sides) for link in news):
        own = getattr(hub.fields, name)
        claims.append(Claim(value=own, mark=mark, link=None))
    return claims


def _has_news(name: str, fields: IncidentFields, link: Link, sides: Sides) -> bool:
    observed = link.observed.native
    if observed.get(name) == link.shadow.native.get(name):
        return False
    if sides.stands(link, name, fields, observed):
        return False
    return not (name == "verdict" and _is_half_brought(fields, link, sides))


def _is_half_brought(fields: IncidentFields, link: Link, sides: Sides) -> bool:
    """Tell whether a copy that is behind was given the classification, and no determination.

    That is what a vendor's own connector does with our verdict: it is nobody's news.
    """
    said, before, wanted = link.observed.fields.verdict, link.shadow.fields.verdict, fields.verdict
    is_pending = link.acceptance is Acceptance.PENDING
    if is_pending or said is None or wanted is None or said.classification != wanted.classification:
        return False
    left = {Determination.UNKNOWN, before.determination if before else Determination.UNKNOWN}
    return said.determination in left and _is_behind("verdict", fields, link, sides)


def _is_unaware(name: str, hub: Hub, mark: Mark, link: Link, sides: Sides) -> bool:
    """Tell whether the side may have changed the field without the value that is on record.

    One that nobody has accepted yet was told of nothing since it was met.
    """
    if not sides.writes(link, name):
        return False
    return _is_behind(name, hub.fields, link, sides) or _is_newer(name, mark, link)


def _is_newer(name: str, mark: Mark, link: Link) -> bool:
    """Tell whether our value came about after the side was last seen before its change.

    That the copy was in step tells nothing then: it cannot show the difference, or our value
    went and came back before anything was written there.
    """
    after = link.bounds[name].after if name in link.bounds else None
    return mark.link_id != link.id and after is not None and mark.bounds.since > after


def _is_behind(name: str, fields: IncidentFields, link: Link, sides: Sides) -> bool:
    """Tell whether the side changed the field before our own change of it had got there."""
    if not sides.writes(link, name):
        return False
    return not sides.stands(link, name, fields, link.shadow.native)


def _claim(name: str, link: Link) -> Claim:
    bounds = link.bounds.get(name) or Bounds(since=link.seen_at)
    return Claim(
        value=getattr(link.observed.fields, name),
        mark=Mark(system=link.system, link_id=link.id, bounds=bounds, by=bounds.by),
        link=link,
    )


def _choose(claims: Sequence[Claim], winner: str) -> Claim:
    named = [claim for claim in claims if claim.mark.system == winner and winner != LATEST]
    return max(named or claims, key=_lateness)


def _lateness(claim: Claim) -> tuple[datetime, datetime, bool, str]:
    bounds = claim.mark.bounds
    # at a tie a side's news wins over what is on record, and the order of ids makes it certain
    return bounds.since, bounds.after or bounds.since, claim.link is not None, claim.mark.system


def _recorded(name: str, hub: Hub, claims: Sequence[Claim], won: Claim) -> list[Conflict]:
    if all(claim.value == won.value for claim in claims):
        return []
    sides = [_side(name, hub, claim) for claim in claims]
    body = {"won": won.mark.system, "value": plain(won.value), "sides": sides}
    return [Conflict(field=name, kind="both_changed", body=body)]


def _side(name: str, hub: Hub, claim: Claim) -> dict[str, Any]:
    link, giver = claim.link, hub.link(claim.mark.link_id)
    return {
        "system": claim.mark.system,
        "source": giver.source_id if giver else "quell",
        "link": claim.mark.link_id,
        "value": plain(claim.value),
        "raw": link.observed.native.get(name) if link else None,
        "shadow": link.shadow.native.get(name) if link else None,
        "since": claim.mark.bounds.since.isoformat(),
        "after": claim.mark.bounds.after.isoformat() if claim.mark.bounds.after else None,
        "by": claim.mark.by,
    }


def plain(value: Any) -> Any:
    """Give a canonical value in JSON words."""
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    return msgspec.to_builtins(value)
