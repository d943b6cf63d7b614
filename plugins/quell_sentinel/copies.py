"""Tells whether an incident is a copy that Microsoft's own connector made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quell_microsoft.lenient import fold, text

__all__ = ["is_from_defender"]

#: who made an incident, where it is a copy of Defender's; `Azure Sentinel` never is: there
#: the provider's number is the incident's own
_DEFENDER = frozenset({"microsoft365defender", "microsoftxdr"})


def is_from_defender(properties: Mapping[str, Any]) -> bool:
    """Tell whether Microsoft's own connector made this incident out of Defender's."""
    return fold(text(properties.get("providerName")) or "") in _DEFENDER
