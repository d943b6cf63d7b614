"""Where a copy of a message lies and what that means: pure rules over the product's words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from quell import Failed, Observation, Outcome, Succeeded, not_so, so
from quell_defender.mail import MailCopy, RemediationAction, TimelineEvent
from quell_microsoft.lenient import fold

__all__ = ["NOT_REACHED", "is_external", "judge", "purged", "restored", "was_received"]

#: begins the reason of every copy that no remediation of this tenant can get at
NOT_REACHED = "not reached: "

_READABLE = frozenset({"inbox", "inboxfolder", "junk", "junkfolder"})
_EXTERNAL = frozenset({"onpremexternal", "onprem", "external"})
_NOT_DELIVERED = frozenset({"failed", "dropped"})
_UNTOLD = frozenset({"", "unknown", "unknownfuturevalue"})
#: Assumed: results are free words; these say that nothing was done
_NOTHING_DONE = frozenset({"failed", "failure", "error", "notreached", "notfound", "skipped"})

_WANTED: Mapping[RemediationAction, frozenset[str]] = {
    RemediationAction.MOVE_TO_DELETED_ITEMS: frozenset({"deletedfolder", "deleteditems"}),
    RemediationAction.MOVE_TO_INBOX: frozenset({"inbox", "inboxfolder"}),
}


def is_external(copy: MailCopy) -> bool:
    """Tell whether the copy lies in a mailbox outside the tenant."""
    return fold(copy.location) in _EXTERNAL


def was_received(copy: MailCopy) -> bool:
    """Tell whether the copy ever came to a mailbox."""
    return fold(copy.location) not in _NOT_DELIVERED


def _is_readable(copy: MailCopy) -> bool:
    return fold(copy.location) in _READABLE | _EXTERNAL


def _took_effect(event: TimelineEvent) -> bool:
    return fold(event.result) not in _NOTHING_DONE


def _is_there(copy: MailCopy, action: RemediationAction) -> bool:
    place = fold(copy.location)
    return place in _WANTED.get(action, frozenset({place}) - _READABLE - _EXTERNAL - _UNTOLD)


def purged(copy: MailCopy, as_of: datetime) -> Observation:
    """Say whether the recipient can no longer read the copy."""
    return _observed(copy, as_of, is_so=not _is_readable(copy))


def restored(copy: MailCopy, as_of: datetime) -> Observation:
    """Say whether the copy is back where the recipient reads it."""
    return _observed(copy, as_of, is_so=_is_readable(copy))


def _observed(copy: MailCopy, as_of: datetime, *, is_so: bool) -> Observation:
    effective = [event for event in copy.events if _took_effect(event)]
    facts: dict[str, Any] = {"location": copy.location}
    if not is_so:
        # an earlier effect that was taken back since did happen: its key says so
        keys = dict.fromkeys(key for event in effective for key in event.keys)
        return not_so(as_of=as_of, keys=tuple(keys), facts=facts)
    last = effective[-1] if effective else None
    return so(
        as_of=as_of,
        made_by=last.source if last else "",
        keys=last.keys if last else (),
        facts=facts,
    )


def judge(copy: MailCopy, action: RemediationAction, key: str, proof: str) -> Outcome | None:
    """Say what came of a remediation on one copy; None while nothing is to be seen.

    The product's own event with our key decides; where it leaves none, the place does.
    """
    ours = [event for event in copy.events if key in event.keys]
    if ours and not _took_effect(ours[-1]):
        return Failed(reason=f"{NOT_REACHED}the product says {ours[-1].result or 'nothing done'!r}")
    if is_external(copy):
        return Failed(reason=f"{NOT_REACHED}the mailbox is outside the tenant")
    if not was_received(copy):
        return Failed(reason=f"{NOT_REACHED}the copy was never delivered ({copy.location})")
    if not ours and not _is_there(copy, action):
        return None
    data = {"location": copy.location}
    return Succeeded(proof=proof or key, data=data, caveat=_caveat(action))


def _caveat(action: RemediationAction) -> str:
    if action is RemediationAction.HARD_DELETE:
        return "a litigation or retention hold keeps the message; it cannot be restored from here"
    return ""
