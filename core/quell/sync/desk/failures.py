"""Decides what becomes of a write whose request failed. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from quell.domain.hub import Hub, IncidentWrite, Step, WriteKind, WriteState
from quell.errors import (
    AnswerNotFound,
    ConnectorError,
    NotFoundError,
    PermissionMissing,
    RequestRefused,
    SignInRefused,
    Throttled,
    WriteConflict,
)
from quell.sync.desk.answers import conflicted, conflicts_of, given_up, parked, postponed
from quell.sync.plan import plan
from quell.sync.rules import Rules

__all__ = ["after_failure"]

#: times that a write may come too late before a person looks at it
CONFLICTS = 8
UNSETTLED = (
    "Find out what keeps changing it, or close the gap there by hand; then `quell sync retry`."
)
#: seconds until it is looked whether somebody has granted or made what is missing
UNTIL_GRANTED = 300.0


def after_failure(
    hub: Hub,
    write: IncidentWrite,
    error: ConnectorError | NotFoundError,
    rules: Rules,
    now: datetime,
    *,
    has_sent: bool,
) -> Step:
    """Choose between again at once, later, after a look, and never; nothing is given up unsaid."""
    text = f"{error} {error.remedy}"
    # a failure before this attempt's request says nothing about an earlier one's
    is_open_question = write.state is WriteState.SENDING and not has_sent
    if isinstance(error, AnswerNotFound) and write.kind is not WriteKind.CREATE:
        return Step(hub=plan(_without_copy(hub, write, text, now), rules, now))
    if isinstance(error, (RequestRefused, NotFoundError)):
        step = parked(hub, write, text, now)
        return step.on(plan(step.hub, rules, now))
    if isinstance(error, WriteConflict):
        return _after_conflict(hub, write, text, rules, now, is_sent=is_open_question)
    if isinstance(error, (SignInRefused, PermissionMissing, AnswerNotFound)):
        # a place for copies that is not there is a setting to mend, and no reason to lose the copy
        return Step(
            hub=postponed(hub, write, text, now, seconds=UNTIL_GRANTED, is_sent=is_open_question)
        )
    seconds = error.retry_after if isinstance(error, Throttled) else None
    # a comment that is sent twice is there twice, and an answer that it is too early may be
    # that of a second attempt
    is_doubtful = error.may_have_happened or write.kind is WriteKind.COMMENT
    is_sent = is_open_question or (has_sent and is_doubtful)
    return Step(hub=postponed(hub, write, text, now, seconds=seconds, is_sent=is_sent))


def _after_conflict(
    hub: Hub, write: IncidentWrite, text: str, rules: Rules, now: datetime, *, is_sent: bool
) -> Step:
    if is_sent or write.kind not in {WriteKind.UPDATE, WriteKind.RETIRE}:
        return Step(hub=postponed(hub, write, text, now, seconds=0.0, is_sent=is_sent))
    if conflicts_of(write) + 1 < CONFLICTS:
        return Step(hub=conflicted(hub, write, now, text))
    step = given_up(
        hub, write, f"its version changed before each of {CONFLICTS} tries. {UNSETTLED}"
    )
    return step.on(plan(step.hub, rules, now))


def _without_copy(hub: Hub, write: IncidentWrite, text: str, now: datetime) -> Hub:
    """Put a tombstone where a copy was: it was deleted, and is not made again."""
    link = hub.link(write.link_id)
    if link is not None:
        hub = hub.with_link(msgspec.structs.replace(link, deleted_at=now))
    return hub.with_write(msgspec.structs.replace(write, state=WriteState.SUPERSEDED, error=text))
