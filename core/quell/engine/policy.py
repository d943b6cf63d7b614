"""The guard's policy: what needs nobody's leave, what is never touched, and how much is enough."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta

import msgspec

__all__ = ["Caps", "GuardPolicy"]


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """How many guarded effects may happen before a person is asked."""

    per_run: int = 20
    per_hour: int = 60
    in_flight: int = 20


class GuardPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator has decided beforehand, for one tenant."""

    #: guarded actions that are done without asking; all others are asked about
    auto: frozenset[str] = frozenset()
    #: `alias kind:pattern`; a pattern without a kind is held against every name
    protected: tuple[str, ...] = ()
    #: which system to use where several offer an action
    systems: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    caps: Caps = Caps()
    #: how old a change may be to start guarded effects, where the playbook does not say
    max_age: timedelta = timedelta(hours=2)
    #: sources whose changes may set off what is above `annotate`: those that detect, and those of
    #: systems that policy names; of an incident that none of them has, its own source may
    authority: frozenset[str] = frozenset()

    @property
    def version(self) -> str:
        """Give a short name of exactly this policy, to be kept with each decision."""
        content = {
            "auto": sorted(self.auto),
            "protected": sorted(self.protected),
            "systems": dict(self.systems),
            "caps": self.caps,
            "max_age": self.max_age,
            "authority": sorted(self.authority),
        }
        return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:12]
