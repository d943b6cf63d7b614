"""What comes of an effect, as values: expected failures are returned, not raised."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

__all__ = [
    "Failed",
    "Observation",
    "Observed",
    "Operation",
    "Outcome",
    "Pending",
    "Succeeded",
    "Unknown",
    "cannot_tell",
    "not_so",
    "so",
]


class Succeeded(msgspec.Struct, frozen=True, kw_only=True, tag="succeeded", tag_field="outcome"):
    """It happened. `proof` is the vendor's own record of it, e.g. an action id."""

    proof: str = ""
    #: what a reading action found, or what the author of a playbook may want to know
    data: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    #: what was left undone or may come back, in words for people; empty when nothing
    caveat: str = ""
    #: observe once more after so long: something outside may take the state back
    look_again: timedelta | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed", tag_field="outcome"):
    """It did not happen, and that is certain."""

    reason: str
    retryable: bool = False
    #: seconds the vendor asked us to wait, if it did
    retry_after: float | None = None
    remedy: str = ""


class Unknown(msgspec.Struct, frozen=True, kw_only=True, tag="unknown", tag_field="outcome"):
    """It may have happened: never repeated before asking whether it did."""

    reason: str
    #: what a person should look at to find out
    look_at: str = ""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's own long-running job, polled until it ends or expires (then it is cancelled)."""

    id: str
    expires_after: timedelta = timedelta(hours=24)
    #: the longest pause between two questions; the first ones come sooner
    poll_every: timedelta = timedelta(seconds=10)
    #: an open operation of somebody else that wants the same state
    adopted: bool = False


class Pending(msgspec.Struct, frozen=True, kw_only=True, tag="pending", tag_field="outcome"):
    """The vendor accepted it and works on it; our run waits meanwhile."""

    operation: Operation


Outcome = Succeeded | Failed | Unknown | Pending


class Observed(StrEnum):
    """Whether the wanted state holds now."""

    SO = "so"
    NOT_SO = "not_so"
    CANNOT_TELL = "cannot_tell"


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """The present state of a target, as of when, and made by whom where the vendor says."""

    state: Observed
    as_of: datetime | None = None
    #: who made the state, in the vendor's words; empty when it does not say
    made_by: str = ""
    #: idempotency keys of ours found in the vendor's record of it: the only proof of authorship
    keys: tuple[str, ...] = ()
    #: an operation that is still open and wants the same state
    open_operation: Operation | None = None
    #: vendor facts kept as the before-image, e.g. the previous value
    facts: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    reason: str = ""


def so(**fields: Any) -> Observation:
    """Say that the wanted state holds."""
    return Observation(state=Observed.SO, **fields)


def not_so(**fields: Any) -> Observation:
    """Say that the wanted state does not hold."""
    return Observation(state=Observed.NOT_SO, **fields)


def cannot_tell(reason: str, **fields: Any) -> Observation:
    """Say that the vendor does not tell; a person decides then."""
    return Observation(state=Observed.CANNOT_TELL, reason=reason, **fields)
