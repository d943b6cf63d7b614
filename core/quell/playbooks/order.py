"""Which steps have surely ended before another one starts."""

from __future__ import annotations

from collections.abc import Sequence

from quell.domain.playbook import Step

__all__ = ["ALL", "predecessors"]

#: in `after`: every step above, in the same list
ALL = "all"


def predecessors(steps: Sequence[Step]) -> dict[str, frozenset[str]]:
    """Follow `after` upwards, for each step of one list; edges that lead nowhere are left out."""
    found: dict[str, frozenset[str]] = {}
    for step in steps:
        direct = {edge.step for edge in step.after}
        above = frozenset(found) if ALL in direct else frozenset(direct & found.keys())
        found[step.id] = above.union(*(found[name] for name in above))
    return found
