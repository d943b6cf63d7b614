"""What the demo shows: a line for each thing that happens, then the proof as tables."""

from __future__ import annotations

import time

from rich.console import Console
from rich.table import Table

from quell.cli.demo.verdict import Verdict
from quell.cli.text import clean
from quell.domain.simulator import TenantFacts

__all__ = ["Screen"]


class Screen:
    """Writes to standard error while things happen, so that standard output holds the result."""

    def __init__(self, *, is_silent: bool) -> None:
        self._console = Console(stderr=True, quiet=is_silent, highlight=False)
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Tell how long it has been going on."""
        return time.monotonic() - self._start

    def say(self, sentence: str) -> None:
        """Show one thing that happens, with its time."""
        line = f"{self.seconds:6.1f} s  {clean(sentence)}"
        self._console.print(line, markup=False, soft_wrap=True)

    def show(self, facts: TenantFacts, verdict: Verdict) -> None:
        """Show the proof, read back from the tenant."""
        console = Console(highlight=False)
        console.print(_proof(facts))
        console.print(_summary(verdict))
        for one in verdict.disagreements[:20]:
            console.print(clean(f"disagreement: {one}"), markup=False, soft_wrap=True)
        console.print("Both queues agree." if verdict.ok else "Something is not as it should be.")


def _proof(facts: TenantFacts) -> Table:
    table = Table(title="Read back from the tenant", title_justify="left")
    for column in ("effect", "target", "state now", "accepted"):
        table.add_column(column, overflow="fold")
    for line in facts.lines:
        cells = (line.what, line.target, line.state, f"{line.accepted}×" if line.accepted else "-")
        table.add_row(*(clean(cell) for cell in cells), style=None if line.ok else "red")
    return table


def _summary(verdict: Verdict) -> Table:
    table = Table(title="Verdict", title_justify="left", show_header=False)
    rows = {
        "incidents": verdict.incidents,
        "pairs compared, field by field": verdict.pairs_compared,
        "disagreements": len(verdict.disagreements),
        "effects": ", ".join(f"{name} {count}" for name, count in sorted(verdict.effects.items())),
        "effects done twice": len(verdict.duplicate_effects),
        "resumed after kill -9": _yes(verdict.resumed_after_kill),
        "protected server untouched": _yes(verdict.protected_untouched),
        "seconds": verdict.seconds,
        "tenant's time runs faster by": f"{verdict.time_scale:g}×",
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _yes(value: bool | None) -> str:
    return "not in this story" if value is None else "yes" if value else "NO"
