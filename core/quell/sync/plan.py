"""Plans what has to be written where. Pure: the plan is part of the hub, and the journal keeps it.

Planning again changes nothing where nothing changed. A planned write that is no longer wanted
is superseded; one that is being sent is left alone until it is known what became of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from quell.domain.hub import (
    Acceptance,
    Copy,
    Hub,
    HubComment,
    IncidentWrite,
    Link,
    WriteKind,
    WriteState,
)
from quell.domain.ports import IncidentSource
from quell.sync.reconcile import due_fields
from quell.sync.remarks import (
    content_digest,
    copy_key,
    copy_parts,
    origin_line,
    short_digest,
    signed,
)
from quell.sync.rules import Rules

__all__ = ["new_write", "plan", "superseded"]


def plan(
    hub: Hub,
    rules: Rules,
    now: datetime,
    *,
    delay: timedelta = timedelta(),
    caused_by: str | None = None,
) -> Hub:
    """Bring a hub's planned writes up to date with what it says."""
    if hub.merged_into is not None:
        return _plan_comments(hub, rules, now, caused_by, kinds=("note",))
    hub = _supersede_dead(hub, rules)
    for link in rules.sides.taking_part(hub):
        hub = _plan_fields(hub, link, rules, now, delay, caused_by)
    hub = _plan_comments(hub, rules, now, caused_by, kinds=("comment", "alerts", "note"))
    return _plan_creates(hub, rules, now)


def new_write(
    hub: Hub,
    *,
    link: Link | None,
    source_id: Any,
    kind: WriteKind,
    key: str,
    intended: Mapping[str, Any],
    now: datetime,
    not_before: datetime | None = None,
    caused_by: str | None = None,
) -> IncidentWrite:
    """Write down what shall be written. The same key is the same write."""
    return IncidentWrite(
        id=short_digest(hub.tenant_id, key),
        link_id=link.id if link else None,
        source_id=source_id,
        kind=kind,
        key=key,
        intended=dict(intended),
        planned_at=now,
        not_before=not_before,
        caused_by=caused_by,
    )


def superseded(write: IncidentWrite, reason: str) -> IncidentWrite:
    """Mark a write as no longer wanted."""
    return msgspec.structs.replace(write, state=WriteState.SUPERSEDED, error=reason)


def _supersede_dead(hub: Hub, rules: Rules) -> Hub:
    """Drop planned updates and comments for copies that take no part any more."""
    for write in hub.writes:
        link = hub.link(write.link_id)
        if write.state is not WriteState.PLANNED or link is None or link.is_live:
            continue
        if write.kind is WriteKind.UPDATE or (
            write.kind is WriteKind.COMMENT and not _is_note(hub, write)
        ):
            hub = hub.with_write(superseded(write, "the copy takes no part any more"))
    return hub


def _is_note(hub: Hub, write: IncidentWrite) -> bool:
    comment_id = write.intended.get("comment")
    return any(one.id == comment_id and one.kind == "note" for one in hub.comments)


# -- fields --------------------------------------------------------------------------------------


def _plan_fields(
    hub: Hub, link: Link, rules: Rules, now: datetime, delay: timedelta, caused_by: str | None
) -> Hub:
    mine = [w for w in hub.writes if w.link_id == link.id and w.kind is WriteKind.UPDATE]
    if any(write.state is WriteState.SENDING for write in mine):
        return hub
    due = _unparked(due_fields(hub, link, rules.sides, rules.policy), mine)
    for write in mine:
        if write.state is not WriteState.PLANNED:
            continue
        if all(name in due and due[name] == raw for name, raw in write.intended.items()):
            due = {name: raw for name, raw in due.items() if name not in write.intended}
        else:
            hub = hub.with_write(superseded(write, "the incident went on"))
    if not due:
        return hub
    key = f"update/{link.id}/{now.isoformat()}/{content_digest(due)}"
    write = new_write(
        hub,
        link=link,
        source_id=link.source_id,
        kind=WriteKind.UPDATE,
        key=key,
        intended=due,
        now=now,
        not_before=now + delay if delay else None,
        caused_by=caused_by,
    )
    return hub.with_write(write)


def _unparked(due: dict[str, Any], writes: Sequence[IncidentWrite]) -> dict[str, Any]:
    """Leave out what the product has refused already: a person looks at that."""
    parked = [write.intended for write in writes if write.state is WriteState.PARKED]
    return {
        name: raw
        for name, raw in due.items()
        if not any(name in one and one[name] == raw for one in parked)
    }


# -- comments ------------------------------------------------------------------------------------


def _plan_comments(
    hub: Hub, rules: Rules, now: datetime, caused_by: str | None, *, kinds: Sequence[str]
) -> Hub:
    if any(link.acceptance is Acceptance.PENDING for link in rules.sides.taking_part(hub)):
        return hub
    for comment in hub.comments:
        if comment.kind not in kinds:
            continue
        for link in _audience(hub, comment, rules):
            hub = _plan_copies(hub, comment.id, link, rules, now, caused_by)
    return hub


def _audience(hub: Hub, comment: HubComment, rules: Rules) -> list[Link]:
    """List the copies of the incident that a comment belongs into, but for where it comes from."""
    if comment.kind == "note":
        wanted = {copy.link_id for copy in comment.copies}
        return [one for one in hub.links if one.id in wanted and one.deleted_at is None]
    links = [one for one in rules.sides.taking_part(hub) if one.id != comment.origin_link_id]
    if comment.kind == "alerts":
        # copies that the products made themselves have the alerts
        return [one for one in links if one.is_ours and rules.sides.is_mirror(one.source_id)]
    return links


def _plan_copies(
    hub: Hub, comment_id: str, link: Link, rules: Rules, now: datetime, caused_by: str | None
) -> Hub:
    comment = next(one for one in hub.comments if one.id == comment_id)
    source = rules.sides[link.source_id]
    parts = copy_parts(comment.text, source.comment_limit)
    there = {copy.part: copy for copy in comment.copy_in(link.id)}
    if 0 in there and there[0].native_key is not None and not there[0].copy_key:
        return hub  # the product's own copy of it
    others = tuple(copy for copy in comment.copies if copy.link_id != link.id)
    for part, body in enumerate(parts):
        if part not in there or not (there[part].copy_key or there[part].native_key):
            key = copy_key(rules.secret, hub.tenant_id, link.id, comment.id, str(part))
            there[part] = Copy(link_id=link.id, part=part, copy_key=key)
        if there[part].native_key is None:
            text = _copy_text(hub, comment, there[part], body, len(parts))
            hub = _plan_copy(hub, comment, there[part], text, link, now, caused_by)
    copies = (*others, *(there[part] for part in sorted(there)))
    if set(copies) == set(comment.copies):
        return hub
    return hub.with_comment(msgspec.structs.replace(comment, copies=copies))


def _copy_text(hub: Hub, comment: HubComment, copy: Copy, body: str, parts: int) -> str:
    origin = hub.link(comment.origin_link_id)
    if comment.origin_link_id is None:
        return signed(copy.copy_key, "", body)
    where = origin.system if origin else "another incident"
    header = origin_line(comment.author, where, comment.created_at, copy.part, parts)
    return signed(copy.copy_key, header, body)


def _plan_copy(
    hub: Hub,
    comment: HubComment,
    copy: Copy,
    text: str,
    link: Link,
    now: datetime,
    caused_by: str | None,
) -> Hub:
    write = new_write(
        hub,
        link=link,
        source_id=link.source_id,
        kind=WriteKind.COMMENT,
        key=f"comment/{link.id}/{comment.id}/{copy.part}",
        intended={"comment": comment.id, "part": copy.part, "key": copy.copy_key, "text": text},
        now=now,
        caused_by=comment.caused_by or caused_by,
    )
    if any(one.id == write.id and one.state is not WriteState.SUPERSEDED for one in hub.writes):
        return hub
    return hub.with_write(write)


# -- copies of the incident ----------------------------------------------------------------------


def _plan_creates(hub: Hub, rules: Rules, now: datetime) -> Hub:
    origin = rules.sides.detects(hub)
    for source in rules.sides.mirrors():
        if origin is None or any(link.source_id == source.source_id for link in hub.links):
            hub = _drop_create(hub, source)
            continue
        if (mode := rules.modes.get(source.source_id)) is not None:
            hub = _plan_create(hub, origin, source, rules, now, is_overlay=mode == "overlay")
    return hub


def _plan_create(
    hub: Hub, origin: Link, source: IncidentSource, rules: Rules, now: datetime, *, is_overlay: bool
) -> Hub:
    write = new_write(
        hub,
        link=None,
        source_id=source.source_id,
        kind=WriteKind.CREATE,
        key=f"create/{source.source_id}/{origin.source_id}/{origin.native_id}",
        intended={"created_for": f"{origin.source_id}/{origin.native_id}"},
        now=now,
        not_before=hub.created_at + rules.policy.grace if is_overlay else None,
    )
    if any(one.id == write.id for one in hub.writes):
        return hub
    return hub.with_write(write)


def _drop_create(hub: Hub, source: IncidentSource) -> Hub:
    for write in hub.writes:
        if write.kind is WriteKind.CREATE and write.source_id == source.source_id and write.is_open:
            hub = hub.with_write(superseded(write, "there is a copy"))
    return hub
