"""What an operator decides about keeping copies in step."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

__all__ = ["LATEST", "SyncPolicy", "SyncRoute"]

#: the side whose change was first seen later wins
LATEST = "latest"


class SyncRoute(msgspec.Struct, frozen=True, kw_only=True):
    """Where copies of some incidents are made."""

    #: ids of sources
    to: tuple[str, ...]
    #: a condition in the playbooks' language
    when: str = "true"


class SyncPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Whether copies are made, and who wins when both sides changed one field."""

    #: `replica` makes copies at once; `overlay` first waits for the vendor's own copy; `auto`
    #: settles on one of them after the first full read of a mirror, and stays with it
    mode: Literal["auto", "overlay", "replica"] = "auto"
    #: how long the vendor's own copy is waited for in `overlay`
    grace: timedelta = timedelta(minutes=10)
    #: the mode of single mirrors, by source id
    modes: dict[str, Literal["auto", "overlay", "replica"]] = {}
    #: how long a field that the vendor's own connector carries may stay apart before it is written
    patience: timedelta = timedelta(minutes=15)
    #: a condition in the playbooks' language: what is kept in step at all; empty for all
    filter: str = ""
    #: all routes that hold are taken together; without any, copies are made everywhere
    routes: tuple[SyncRoute, ...] = ()
    #: `latest`, or the name of a system
    default: str = LATEST
    #: the same for single fields
    fields: dict[str, str] = {}
    #: canonical fields that are not kept in step
    ignored: frozenset[str] = frozenset()
    #: incidents written to per minute after differences of a first contact were accepted
    accepted_per_minute: int = 120
    #: systems whose users' changes may set off containment, besides the one that detects
    authority: frozenset[str] = frozenset()
    #: whether incidents that began in a mirror are mirrored as comments
    mirror_native: bool = False

    def mode_of(self, source_id: str) -> str:
        """Tell the mode that is set for a mirror: `replica`, `overlay` or `auto`."""
        return self.modes.get(source_id, self.mode)

    def winner(self, name: str) -> str:
        """Tell who wins for a field: `latest`, or the name of a system."""
        return self.fields.get(name, self.default)
