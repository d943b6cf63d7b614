"""Showing what came of effects that a person ordered or took back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from quell.cli.outcome import ExitCode
from quell.cli.output import show

if TYPE_CHECKING:
    from quell.engine import EffectReport

__all__ = ["exit_code_of_effects", "show_effects"]

REFUSED = frozenset({"denied", "asked", "kept"})
BAD = frozenset({"failed", "unknown"})
COLUMNS = ("action", "name", "result", "reason", "approval_id", "key")


def show_effects(reports: Sequence[EffectReport]) -> None:
    """Print one row per effect."""
    rows = [msgspec.structs.asdict(report) for report in reports]
    show(rows, COLUMNS, empty="nothing to do")


def exit_code_of_effects(reports: Sequence[EffectReport]) -> ExitCode:
    """Give 1 when something failed or is unclear, 6 when something was not allowed, else 0."""
    results = {report.result for report in reports}
    if results & BAD:
        return ExitCode.NO
    return ExitCode.REFUSED if results & REFUSED else ExitCode.DONE
