"""What to do about an effect that may or may not have happened, after a look at it. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from quell.domain.action import Action, Effect
from quell.domain.outcome import Failed, Observation, Observed, Operation, Unknown
from quell.domain.run import EffectState
from quell.journal.effects import EffectRow

__all__ = ["Next", "Verdict", "judge", "look_at", "may_have_been_sent"]


class Next(StrEnum):
    """What follows from a look."""

    #: it happened, and the vendor's record proves that it was ours
    DONE = "done"
    #: the state is there; nothing proves that it was ours
    ALREADY = "already"
    #: an operation that wants the same state is open at the vendor
    ADOPT = "adopt"
    #: it certainly did not happen: decide afresh, then send
    SEND = "send"
    #: it did not happen and is not tried again
    FAILED = "failed"
    #: it cannot be known: a person decides
    UNKNOWN = "unknown"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from a look, and why."""

    next: Next
    reason: str = ""
    operation: Operation | None = None


def may_have_been_sent(row: EffectRow) -> bool:
    """Tell whether an open intent may have left us without its answer being on record."""
    return row.state is EffectState.INTENDED and not isinstance(row.outcome, Failed)


def look_at(row: EffectRow, action: Action, within: timedelta) -> datetime:
    """Tell from when on a look is conclusive about an effect that may have been sent.

    `within` is how long its call may have taken: the step's own time where it has one.
    """
    if row.poll_at is not None:
        return row.poll_at
    # whoever held the run could send until the deadline, and then wait for its answer
    return row.deadline + within + action.settle


def judge(row: EffectRow, action: Action, observation: Observation | None) -> Verdict:
    """Decide what follows from what the vendor shows about an effect of unknown fate."""
    was_uncertain = isinstance(row.outcome, Unknown)
    if observation is None:
        return _without_look(action, row)
    if row.vendor_key in observation.keys:
        return _ours(observation)
    if observation.state is Observed.SO:
        return Verdict(next=Next.ALREADY, reason=_by(observation))
    if observation.state is Observed.CANNOT_TELL:
        return _cannot_tell(action, row, observation)
    if observation.open_operation is not None:
        return Verdict(
            next=Next.ADOPT, operation=_foreign(observation.open_operation), reason=_by(observation)
        )
    if was_uncertain:
        return Verdict(next=Next.FAILED, reason="the vendor shows that it did not take effect")
    return Verdict(next=Next.SEND)


def _without_look(action: Action, row: EffectRow) -> Verdict:
    if action.is_idempotent and row.outcome is None:
        return Verdict(next=Next.SEND)
    return Verdict(next=Next.UNKNOWN, reason=f"{action.name} cannot be looked at")


def _cannot_tell(action: Action, row: EffectRow, observation: Observation) -> Verdict:
    is_harmless = action.is_idempotent and action.effect is Effect.ANNOTATE
    if is_harmless and row.outcome is None:
        return Verdict(next=Next.SEND)
    return Verdict(next=Next.UNKNOWN, reason=observation.reason or "the vendor does not tell")


def _ours(observation: Observation) -> Verdict:
    if observation.state is Observed.SO:
        return Verdict(next=Next.DONE, reason="found in the vendor's record")
    if observation.open_operation is not None:
        return Verdict(next=Next.ADOPT, operation=observation.open_operation)
    return Verdict(next=Next.DONE, reason="found in the vendor's record; it holds no longer")


def _foreign(operation: Operation) -> Operation:
    return msgspec.structs.replace(operation, adopted=True)


def _by(observation: Observation) -> str:
    return f"made by {observation.made_by}" if observation.made_by else ""


#: how long an open effect of somebody else is waited for before looking again
RIVAL_PAUSE = timedelta(seconds=10)
