"""Says which parts of a listed incident must be fetched: only what the list shows to have changed.

Pure. A call for each incident is what would make reading slow, and writing late.
"""

from __future__ import annotations

from quell.domain.hub import Link
from quell.domain.ports import Detail, ObservedIncident

__all__ = ["missing_parts"]

NOTHING: frozenset[Detail] = frozenset()


def missing_parts(
    link: Link | None,
    seen: ObservedIncident,
    *,
    has_original: bool = False,
    is_check: bool = False,
) -> frozenset[Detail]:
    """Name what must be fetched before an observation can be stored.

    `has_original` says that the journal has the incident that this is a copy of: its alerts are
    known from there. `is_check` asks also for what may have changed together with something that
    a list shows, and so without a sign of its own: an edited comment, a task.
    """
    if seen.is_deleted:
        return NOTHING
    parts = {part for part in Detail if _is_wanted(part, link, seen)}
    if is_check and link is not None:
        parts |= _without_a_sign(seen)
    if has_original or seen.created_for is not None:
        parts.discard(Detail.ALERTS)
    if parts and link is None and seen.tasks is None:
        parts.add(Detail.TASKS)
    return frozenset(parts)


def _without_a_sign(seen: ObservedIncident) -> frozenset[Detail]:
    if not seen.etag:
        return NOTHING
    comments = {Detail.COMMENTS} if seen.comments is None and seen.comment_count else set[Detail]()
    return frozenset(comments | ({Detail.TASKS} if seen.tasks is None else set()))


def _is_wanted(part: Detail, link: Link | None, seen: ObservedIncident) -> bool:
    if part is Detail.ALERTS:
        return _wants_alerts(link, seen)
    if part is Detail.COMMENTS:
        known = link.comment_count if link else None
        return seen.comments is None and _may_differ(link, seen, seen.comment_count, known)
    # tasks have no count: they are read where something changed that nothing else explains
    return seen.tasks is None and link is not None and _is_unexplained(link, seen)


def _wants_alerts(link: Link | None, seen: ObservedIncident) -> bool:
    if seen.alerts is not None or seen.merged_into is not None:
        return False  # a merged one's alerts are the winner's
    if seen.news_since is not None:
        return link is None and not _began_within(seen)
    return _may_differ(link, seen, seen.alert_count, link.alert_count if link else None)


def _began_within(seen: ObservedIncident) -> bool:
    """Tell whether the changed alerts that came along are all that it has."""
    if not seen.news or seen.created_at is None or seen.news_since is None:
        return False
    return seen.created_at >= seen.news_since


def _may_differ(
    link: Link | None, seen: ObservedIncident, count: int | None, known: int | None
) -> bool:
    if link is None:
        return count != 0
    if count is not None and count != known:
        return count != 0 or known is not None
    if count is not None:
        return count != 0 and _is_unexplained(link, seen)
    return not seen.stamp or not _is_same(link, seen)


def _is_same(link: Link, seen: ObservedIncident) -> bool:
    return seen.stamp == link.stamp and (not seen.etag or seen.etag == link.etag)


def _is_unexplained(link: Link, seen: ObservedIncident) -> bool:
    """Tell whether a version token is new although nothing that the list shows has changed.

    No token at all means that a write of ours has made it stale: that explains a new one.
    """
    if not seen.etag or not link.etag or seen.etag == link.etag:
        return False
    counts = (seen.alert_count, seen.comment_count)
    return seen.native == link.observed.native and counts == (link.alert_count, link.comment_count)
