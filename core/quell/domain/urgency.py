"""How urgent a run is: containment before remarks, remarks before mere reading."""

from __future__ import annotations

__all__ = ["ORDERED", "READING", "URGENT", "USUAL", "is_urgent"]

#: a person ordered it, and may be waiting for it
ORDERED = 1
#: it may have an effect above `annotate`
URGENT = 3
#: it leaves remarks
USUAL = 5
#: it reads, and changes nothing anywhere
READING = 7


def is_urgent(priority: int) -> bool:
    """Tell whether a run comes before all that only remarks and reads. A lower number is sooner."""
    return priority <= URGENT
