"""Plans where each comment still has to be copied to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from quell.domain.hub import (
    Acceptance,
    Copy,
    Hub,
    HubComment,
    Link,
    WriteKind,
    WriteState,
)
from quell.sync.plan.writes import new_write
from quell.sync.remarks import (
    copy_key,
    copy_parts,
    origin_line,
    signed,
)
from quell.sync.rules import Rules

__all__ = ["plan_comments"]


def plan_comments(
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
