"""What a simulated tenant offers: serving it, driving its story, and reading its side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

__all__ = ["Beat", "SimulatorControl", "SimulatorSpec", "TenantFact", "TenantFacts"]


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happens in a simulated tenant's story, and what it is there to show."""

    name: str
    sentence: str


class TenantFact(msgspec.Struct, frozen=True, kw_only=True):
    """One line of proof, read back from the tenant."""

    what: str
    target: str
    state: str
    #: the target's own id in its product, as an alias of the canonical entity has it
    alias: str = ""
    #: how often the tenant accepted a request for it
    accepted: int = 0
    #: whether it is as the story wants it
    ok: bool = True


class TenantFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulated tenant says of itself: counted on its side, not on ours."""

    #: incidents that begin there, and how many of them were merged into others
    incidents: int
    merged: int
    #: copies in the mirroring product
    copies: int
    #: accepted effects by action name
    effects: dict[str, int]
    #: what must not be touched and was not; None where the story has nothing of the kind
    protected_untouched: bool | None
    lines: tuple[TenantFact, ...] = ()


class SimulatorControl(Protocol):
    """Drives a running simulator's story and reads the tenant's side of it."""

    async def beats(self) -> Sequence[Beat]:
        """List the story's beats in order; empty when it plays recorded incidents."""
        ...

    async def play(self, name: str) -> None:
        """Let one beat happen now."""
        ...

    async def facts(self) -> TenantFacts:
        """Read the tenant's side."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSpec:
    """A simulated product tenant that playbook authors can test against."""

    name: str
    summary: str
    #: blocks until the process is told to stop; options as `quell simulate` passes them
    serve: Callable[[Mapping[str, Any]], None]
    #: turns a ready file's content into the sections of a tenant's settings
    settings_from: Callable[[Mapping[str, Any]], dict[str, Any]]
    #: drives a running simulator, given its ready file's content
    control: Callable[[Mapping[str, Any]], SimulatorControl]
