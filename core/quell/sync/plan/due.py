"""Tells what of a copy is not as the incident has it. Pure."""

from __future__ import annotations

from typing import Any

from quell.domain.hub import Acceptance, Hub, Link
from quell.sync.policy import SyncPolicy
from quell.sync.sides import FIELDS, Sides

__all__ = ["due_fields"]


def due_fields(hub: Hub, link: Link, sides: Sides, policy: SyncPolicy) -> dict[str, Any]:
    """Give the raw values that a copy still has to be given, by field."""
    if any(one.acceptance is Acceptance.PENDING for one in sides.taking_part(hub)):
        return {}
    native = link.observed.native
    return {
        name: sides.target(link, name, hub.fields, native)
        for name in FIELDS
        if name not in policy.ignored
        and sides.writes(link, name)
        and not sides.stands(link, name, hub.fields, native)
    }
