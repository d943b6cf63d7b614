"""What becomes of a comment that was written: the record that it is there. Pure."""

from __future__ import annotations

import msgspec

from quell.domain.hub import Copy, Hub, IncidentWrite, Link, WriteState
from quell.sync.absorb.comments import confirm_copy

__all__ = ["confirmed", "unversioned", "wanted_keys"]


def confirmed(hub: Hub, link: Link, write: IncidentWrite, native_key: str) -> Hub:
    """Put on record that a written comment is there, with all originals that it holds."""
    for comment_id, part in _names(write):
        copy = _copy(hub, link, comment_id, part)
        if copy is not None:
            hub = confirm_copy(hub, comment_id, copy, native_key=native_key)
    found = next((one for one in hub.writes if one.id == write.id), None)
    if found is not None and found.is_open:
        hub = hub.with_write(msgspec.structs.replace(found, state=WriteState.APPLIED))
    return unversioned(hub, link.id, more_comments=0 if write.intended.get("host") else 1)


def wanted_keys(write: IncidentWrite) -> frozenset[str]:
    """List the keys that a written comment has to carry."""
    entries = write.intended.get("entries", [["", 0, write.intended["key"]]])
    return frozenset(str(key) for _, _, key in entries)


def _names(write: IncidentWrite) -> list[tuple[str, int]]:
    if "entries" in write.intended:
        return [(comment_id, part) for comment_id, part, _ in write.intended["entries"]]
    return [(str(write.intended["comment"]), int(write.intended["part"]))]


def _copy(hub: Hub, link: Link, comment_id: str, part: int) -> Copy | None:
    comment = next((one for one in hub.comments if one.id == comment_id), None)
    copies = comment.copy_in(link.id) if comment else ()
    return next((one for one in copies if one.part == part), None)


def unversioned(hub: Hub, link_id: str, *, more_comments: int = 0) -> Hub:
    """Take in that a copy has a version now that we are not told, by our own doing."""
    known = hub.link(link_id)
    if known is None:
        return hub
    count = known.comment_count + more_comments if known.comment_count is not None else None
    return hub.with_link(msgspec.structs.replace(known, etag="", comment_count=count))
