"""What the guard can say about one effect on one target, always with every reason."""

from __future__ import annotations

import msgspec

__all__ = ["Allowed", "AskFirst", "Decision", "Denied", "NotYet", "Reason"]


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason. `code` is stable: an approval covers codes, people read the text."""

    code: str
    text: str


class Allowed(msgspec.Struct, frozen=True, kw_only=True, tag="allowed", tag_field="decision"):
    """It may be done now."""


class AskFirst(msgspec.Struct, frozen=True, kw_only=True, tag="ask", tag_field="decision"):
    """A person has to agree first."""

    reasons: tuple[Reason, ...]
    #: whether somebody must be told at once, not only find the question
    pages: bool = False


class Denied(msgspec.Struct, frozen=True, kw_only=True, tag="denied", tag_field="decision"):
    """It is not done, and no approval changes that."""

    reasons: tuple[Reason, ...]


class NotYet(msgspec.Struct, frozen=True, kw_only=True, tag="not_yet", tag_field="decision"):
    """Another effect on the same target is still open: look again in a moment."""

    reasons: tuple[Reason, ...]


Decision = Allowed | AskFirst | Denied | NotYet
