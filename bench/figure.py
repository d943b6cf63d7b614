"""What a measurement gives: figures with units, what was set, and proof that the work was done."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

__all__ = ["Figure", "Report", "WorkNotDone", "check", "median", "spread", "to_json", "to_text"]


class WorkNotDone(Exception):
    """The counters do not show the work: a figure for it would mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number, with what it is to be held against."""

    name: str
    value: float
    unit: str
    #: what it should be, where a goal was set
    goal: str = ""
    #: None where there is no goal
    is_met: bool | None = None
    note: str = ""


@dataclass(slots=True, kw_only=True)
class Report:
    """All figures of one measurement."""

    name: str
    #: what was set, durability above all
    settings: str
    rounds: int
    figures: list[Figure] = field(default_factory=list[Figure])
    #: what was counted to prove that the work was done
    checks: list[str] = field(default_factory=list[str])

    def add(self, name: str, value: float, unit: str, note: str = "") -> None:
        """Add a figure without a goal."""
        self.figures.append(Figure(name=name, value=value, unit=unit, note=note))

    def add_goal(self, name: str, value: float, unit: str, *, below: float) -> None:
        """Add a figure that should be below its goal; a missed one is shown, not hidden."""
        goal = f"under {below:g} {unit}"
        self.figures.append(
            Figure(name=name, value=value, unit=unit, goal=goal, is_met=value < below)
        )

    def add_ratios(
        self, name: str, ratios: Sequence[float], *, least: float, aim: float, note: str = ""
    ) -> None:
        """Add the median of ratios that should be at least one number, and better another."""
        value = statistics.median(ratios)
        goal = f"at least {least:g}, better {aim:g}"
        self._add_ratio(name, value, goal, value >= least, f"{spread(ratios)} {note}")

    def add_shares(
        self, name: str, shares: Sequence[float], *, most: float, aim: float, note: str = ""
    ) -> None:
        """Add the median of ratios that should be at most one number, and better another."""
        value = statistics.median(shares)
        goal = f"at most {most:g}, better {aim:g}"
        self._add_ratio(name, value, goal, value <= most, f"{spread(shares)} {note}")

    def _add_ratio(self, name: str, value: float, goal: str, is_met: bool, note: str) -> None:
        self.figures.append(
            Figure(name=name, value=value, unit="×", goal=goal, is_met=is_met, note=note.rstrip())
        )


def check(report: Report, what: str, found: object, wanted: object) -> None:
    """Note what was counted. Raises WorkNotDone where it is not what the work would leave."""
    if found != wanted:
        raise WorkNotDone(f"{what}: {found!r}, not {wanted!r}")
    report.checks.append(f"{what}: {found}")


def median(values: Sequence[float]) -> float:
    """Give the middle value."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """Say between which values the rounds lay."""
    return f"{min(values):.3g} to {max(values):.3g}"


def to_json(place: dict[str, object], reports: Sequence[Report]) -> str:
    """Write everything as JSON."""
    return json.dumps({"place": place, "reports": [asdict(one) for one in reports]}, indent=2)


def to_text(report: Report) -> str:
    """Write one report for people."""
    lines = [f"{report.name}  ({report.settings}; rounds: {report.rounds})"]
    width = max((len(one.name) for one in report.figures), default=0)
    lines += [f"  {_line(one, width)}" for one in report.figures]
    lines += [f"  counted  {one}" for one in report.checks]
    return "\n".join(lines)


def _line(figure: Figure, width: int) -> str:
    text = f"{figure.name:<{width}}  {_number(figure.value):>9} {figure.unit}"
    if figure.is_met is not None:
        text += f"  goal {figure.goal}: {'met' if figure.is_met else 'MISSED'}"
    return f"{text}  {figure.note}".rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
