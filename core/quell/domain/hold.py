"""Who wants a state to last. A state ends when its last hold is dropped, and not before."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

__all__ = ["Hold", "HoldOwner"]


class HoldOwner(StrEnum):
    """Who a hold belongs to."""

    #: one of our runs, by id
    RUN = "run"
    #: a person, by name
    PERSON = "person"
    #: the product itself or another tool: quell found the state already made
    VENDOR = "vendor"
    #: a person took the state back: nothing makes it again without an approval
    SUPPRESS = "suppress"


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One owner's wish that a state of an entity lasts."""

    entity_id: str
    #: what an action `makes`, e.g. `device.isolated`
    state: str
    owner: HoldOwner
    #: run id or person's name; empty for the vendor
    owner_id: str = ""
    #: when somebody should look at it again
    review_at: datetime | None = None
    made_at: datetime | None = None
    reason: str = ""
