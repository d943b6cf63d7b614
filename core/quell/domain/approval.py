"""A recorded question to a person: who may answer, until when, what was answered."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

import msgspec

__all__ = ["Answer", "Ask", "Otherwise"]


class Otherwise(StrEnum):
    """What happens when nobody answers in time. Nothing is ever done unasked."""

    #: the targets end up in `denied`
    DENY = "deny"
    #: they are denied, and whoever is on call is told
    PAGE = "page"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A step's question, as its playbook writes it."""

    who: str = "operators"
    within: timedelta = timedelta(hours=1)
    otherwise: Otherwise = Otherwise.DENY


class Answer(StrEnum):
    """What can become of a question."""

    OPEN = "open"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
