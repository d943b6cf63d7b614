"""What a failed request means for an effect: the connector's errors as outcomes."""

from __future__ import annotations

from quell import Failed, Operation, Outcome, Pending, Unknown
from quell.errors import BadAnswer, ConnectorError, ServerFailure, Throttled, Unreachable

__all__ = ["is_passing", "outcome_of_poll", "outcome_of_read", "outcome_of_write"]


def is_passing(error: ConnectorError) -> bool:
    """Tell whether asking the same again later may get an answer."""
    return isinstance(error, Throttled | Unreachable | ServerFailure | BadAnswer)


def outcome_of_write(error: ConnectorError, *, look_at: str) -> Failed | Unknown:
    """Say what a failed write means: it did not happen, or nobody knows.

    `look_at` tells a person where to find out in the second event.
    """
    if error.may_have_happened:
        return Unknown(reason=error.message, look_at=look_at)
    # refused by a limit, or never sent: nothing happened, and it may go better later
    return _failed(error, retryable=is_passing(error))


def outcome_of_read(error: ConnectorError) -> Failed:
    """Say what a failed read means: nothing was found out, and nothing was changed."""
    return _failed(error, retryable=is_passing(error))


def outcome_of_poll(error: ConnectorError, operation: Operation, *, look_at: str) -> Outcome:
    """Say what a failed question about an operation means: ask later, or a person looks."""
    if is_passing(error):
        return Pending(operation=operation)
    return Unknown(reason=f"The operation cannot be asked about: {error.message}", look_at=look_at)


def _failed(error: ConnectorError, *, retryable: bool) -> Failed:
    wait = error.retry_after if isinstance(error, Throttled) else None
    return Failed(reason=error.message, retryable=retryable, retry_after=wait, remedy=error.remedy)
