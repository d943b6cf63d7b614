"""Keeps the comments of an incident's copies in step, as sets. Pure.

A comment is an original or one of our copies. A copy is known by our key *and* by standing
where we planned it and have not found it yet; a text that merely quotes a key is an original.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from quell.domain.hub import (
    AlertNote,
    Copy,
    Hub,
    HubComment,
    Link,
    WriteKind,
    WriteState,
)
from quell.domain.ids import LinkId
from quell.domain.incident import Alert, Comment, Status
from quell.domain.ports import ObservedIncident
from quell.sync.absorb.echoes import brought_here, place_for
from quell.sync.plan import new_write, superseded
from quell.sync.remarks import (
    alert_digest,
    alerts_text,
    copy_key,
    copy_parts,
    keys_in,
    line,
    short_digest,
    squeezed,
)
from quell.sync.rules import Rules

__all__ = [
    "absorb_comments",
    "add_alerts_comment",
    "confirm_copy",
    "inherit_comments",
    "note",
    "retire",
    "tell_our_copies",
]


def absorb_comments(
    hub: Hub, seen: ObservedIncident, rules: Rules, now: datetime
) -> tuple[Hub, list[str]]:
    """Take the comments of a copy in; gives the ids of originals that are new."""
    link = hub.link_at(seen.source_id, seen.native_id)
    if link is None or seen.comments is None:
        return hub, []
    return _absorbed(hub, link, seen.comments, rules)


def inherit_comments(
    winner: Hub, loser: Hub, seen: ObservedIncident, rules: Rules
) -> tuple[Hub, list[str]]:
    """Take in what is said in a copy of an incident that was merged away: it is the winner's."""
    link = loser.link_at(seen.source_id, seen.native_id)
    if link is None or seen.comments is None:
        return winner, []
    # what was said to the loser's copies alone stays with them
    others = [one for one in seen.comments if not _is_known(loser, link, one)]
    return _absorbed(winner, link, others, rules)


def _absorbed(
    hub: Hub, link: Link, comments: Sequence[Comment], rules: Rules
) -> tuple[Hub, list[str]]:
    new: list[str] = []
    for comment in comments:
        if _is_known(hub, link, comment):
            continue
        if awaited := _awaited(hub, link, comment, rules):
            for found in awaited:
                hub = confirm_copy(hub, *found, native_key=comment.key)
            continue
        if (brought := brought_here(hub, link, comment, rules)) is not None:
            for found in brought:
                hub = confirm_copy(hub, *found, native_key=comment.key)
            continue
        if hub.merged_into is not None:
            continue  # the winner takes it in
        original = _original(hub, link, comment)
        hub = hub.with_comment(original)
        new.append(original.id)
    return hub, new


def confirm_copy(hub: Hub, comment_id: str, copy: Copy, *, native_key: str) -> Hub:
    """Put on record that a copy of a comment is there; a write that still wanted it is settled."""
    known = next(one for one in hub.comments if one.id == comment_id)
    there = msgspec.structs.replace(copy, native_key=native_key)
    others = (one for one in known.copies if (one.link_id, one.part) != (copy.link_id, copy.part))
    hub = hub.with_comment(msgspec.structs.replace(known, copies=(*others, there)))
    for write in hub.writes:
        wanted = (write.intended.get("comment"), write.intended.get("part"))
        is_it = write.kind is WriteKind.COMMENT and write.link_id == copy.link_id
        if is_it and write.is_open and wanted == (comment_id, copy.part):
            if write.state is WriteState.SENDING:
                hub = hub.with_write(msgspec.structs.replace(write, state=WriteState.APPLIED))
            else:
                hub = hub.with_write(superseded(write, "it is there"))
    return hub


def _is_known(hub: Hub, link: Link, comment: Comment) -> bool:
    """Tell whether a comment is on record with this text, as an original or as a copy."""
    for one in hub.comments:
        for copy in one.copy_in(link.id):
            if copy.native_key == comment.key:
                is_edited = one.origin_link_id == link.id and one.text != comment.text
                if not is_edited:
                    return True
    return False


def _awaited(hub: Hub, link: Link, comment: Comment, rules: Rules) -> list[tuple[str, Copy]]:
    """Find the copies that this is: ours by their keys, or the product's own by its text."""
    keys = keys_in(comment.text)
    text = squeezed(comment.text)
    ours: list[tuple[str, Copy]] = []
    for one in hub.comments:
        if one.origin_link_id == link.id:
            continue
        if keys and (found := _by_key(hub, link, one, keys, rules)) is not None:
            ours.append((one.id, found))
            if len(ours) == len(keys):
                break
            continue
        is_a_persons = one.kind == "comment" and one.origin_link_id is not None
        is_carried = is_a_persons and not link.is_ours and squeezed(one.text) == text
        place = place_for(hub, one, link, rules) if is_carried and not ours else None
        if place is not None:
            return [(one.id, Copy(link_id=link.id, part=place))]
    return ours


def _by_key(
    hub: Hub, link: Link, comment: HubComment, keys: frozenset[str], rules: Rules
) -> Copy | None:
    """Find the part of a comment whose key is in a text, and which is not known to be anywhere."""
    known = {copy.part: copy for copy in comment.copy_in(link.id)}
    limit = rules.sides[link.source_id].comment_limit
    for part in range(len(copy_parts(comment.text, limit))):
        # planned or not: a journal that was lost and read anew knows its own copies again
        key = copy_key(rules.secret, hub.tenant_id, link.id, comment.id, str(part))
        if key in keys and (part not in known or known[part].native_key is None):
            return Copy(link_id=link.id, part=part, copy_key=key)
    return None


def _original(hub: Hub, link: Link, comment: Comment) -> HubComment:
    origin_key = f"{link.id}/{comment.key}"
    if any(one.origin_key == origin_key for one in hub.comments):
        # an edited comment is told onward as a further one: what was said stays said
        origin_key = f"{origin_key}/{short_digest(comment.text)}"
    return HubComment(
        id=short_digest(hub.tenant_id, "comment", origin_key),
        origin_link_id=link.id,
        origin_key=origin_key,
        text=comment.text,
        author=comment.author,
        created_at=comment.created,
        copies=(Copy(link_id=link.id, native_key=comment.key),),
    )


# -- what quell itself says ----------------------------------------------------------------------


def add_alerts_comment(
    hub: Hub, seen: ObservedIncident, alerts: Sequence[Alert], moved_from: Sequence[str] = ()
) -> Hub:
    """Describe alerts that are new or changed to the copies that cannot hold alerts."""
    notes = dict(hub.alerts)
    told: list[Alert] = []
    for alert in alerts:
        key = f"{seen.source_id}/{alert.id}"
        digest = alert_digest(alert)
        known = notes.get(key)
        if known is None or known.carried != digest:
            notes[key] = AlertNote(digest=known.digest if known else "", carried=digest)
            told.append(alert)
    if not told:
        return hub
    text = alerts_text(told, seen.url)
    if moved_from:
        text += f"\n\nMoved here from incident {', '.join(line(one) for one in moved_from)}."
    return tell_our_copies(hub.replace(alerts=notes), f"{seen.source_id}\x00{text}", text)


def tell_our_copies(hub: Hub, key: str, text: str) -> Hub:
    """Say something about alerts to the copies that cannot hold them; the same key says it once."""
    origin_key = f"alerts/{short_digest(key)}"
    comment = HubComment(
        id=short_digest(hub.tenant_id, hub.id, origin_key),
        kind="alerts",
        origin_key=origin_key,
        text=text,
    )
    return hub if _has(hub, comment) else hub.with_comment(comment)


def _has(hub: Hub, comment: HubComment) -> bool:
    return any(one.id == comment.id for one in hub.comments)


def note(hub: Hub, link: Link, text: str, key: str = "") -> Hub:
    """Say something in one copy alone; the same text, or the same key, is said once."""
    origin_key = f"note/{link.id}/{short_digest(key or text)}"
    comment = HubComment(
        id=short_digest(hub.tenant_id, hub.id, origin_key),
        kind="note",
        origin_key=origin_key,
        text=text,
        copies=(Copy(link_id=link.id),),
    )
    return hub if _has(hub, comment) else hub.with_comment(comment)


def retire(hub: Hub, old: Link, successor: LinkId | None, text: str, rules: Rules) -> Hub:
    """Close a copy that we made, with a word on where the incident goes on."""
    if successor is not None:
        hub = hub.with_link(msgspec.structs.replace(old, retired_to=successor))
    closed = hub.fields.replace({"status": Status.CLOSED})
    intended = {"status": rules.sides.target(old, "status", closed, old.observed.native)}
    write = new_write(
        hub,
        link=old,
        source_id=old.source_id,
        kind=WriteKind.RETIRE,
        key=f"retire/{old.id}",
        intended=intended,
        now=hub.updated_at,
    )
    if any(one.id == write.id for one in hub.writes):
        return hub
    if rules.sides.stands(old, "status", closed, old.observed.native):
        # somebody has closed it already: that need not be told again
        write = msgspec.structs.replace(write, state=WriteState.APPLIED)
    return note(hub.with_write(write), old, text)
