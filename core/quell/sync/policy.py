"""What an operator decides about keeping copies in step."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

__all__ = ["LATEST", "SyncPolicy"]

#: the side whose change was first seen later wins
LATEST = "latest"


class SyncPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Whether copies are made, and who wins when both sides changed one field."""

    #: `replica` makes copies at once; `overlay` first waits for the vendor's own copy; `auto`
    #: settles on one of them after the first full read of a mirror, and stays with it
    mode: Literal["auto", "overlay", "replica"] = "auto"
    #: how long the vendor's own copy is waited for in `overlay`
    grace: timedelta = timedelta(minutes=10)
    #: `latest`, or the name of a system
    default: str = LATEST
    #: the same for single fields
    fields: dict[str, str] = {}
    #: canonical fields that are not kept in step
    ignored: frozenset[str] = frozenset()
    #: incidents written to per minute after differences of a first contact were accepted
    accepted_per_minute: int = 120

    def winner(self, name: str) -> str:
        """Tell who wins for a field: `latest`, or the name of a system."""
        return self.fields.get(name, self.default)
