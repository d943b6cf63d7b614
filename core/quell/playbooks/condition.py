"""A condition about an incident outside of any playbook, in the playbooks' own language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quell.domain.view import IncidentView
from quell.errors import SettingsError
from quell.playbooks.catalogue import Catalogue
from quell.playbooks.celtypes import BOOL
from quell.playbooks.evaluate import NoAnswer, compile_error, evaluate
from quell.playbooks.facts import MISSING, Shaper, TooMuch, roots_of
from quell.playbooks.source import end_of
from quell.playbooks.tokens import ExpressionMistake
from quell.playbooks.typecheck import Checked, check_expression
from quell.playbooks.view import RunView
from quell.playbooks.vocabulary import base_scope

__all__ = ["Condition", "Unanswered"]

REMEDY = (
    "It is a condition as in a playbook's `when`, e.g. `incident.severity >= severity.high`; "
    "docs/how-to/route-incidents.md shows more."
)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The condition has no answer for an incident; that is never taken as false."""

    setting: str
    #: names no data of the incident
    reason: str


class Condition:
    """A condition that a setting holds, compiled.

    Raises SettingsError with the setting, the line and the column where it cannot be meant.
    """

    def __init__(self, setting: str, text: str) -> None:
        self.setting = setting
        self.text = text
        self._checked = _checked(setting, text)

    def answer(self, view: IncidentView) -> bool | Unanswered:
        """Tell whether it holds for an incident as it is now."""
        try:
            found = self._evaluate(view)
        except (NoAnswer, TooMuch) as error:
            return Unanswered(self.setting, str(error))
        if not isinstance(found, bool):
            return Unanswered(self.setting, "it is neither true nor false")
        return found

    def _evaluate(self, view: IncidentView) -> Any:
        shaper = Shaper(wanted=self._checked.fields)
        read = roots_of(RunView(incident=view), lambda name: MISSING)
        roots = self._checked.roots
        data = {name: shaper.shape(read(name), kind) for name, kind in roots.items()}
        return evaluate(self._checked.text, frozenset(data), data)


def _checked(setting: str, text: str) -> Checked:
    checked = check_expression(text, base_scope(Catalogue([])))
    mistakes = list(checked.mistakes)
    if not mistakes and checked.type != BOOL:
        mistakes = [ExpressionMistake(0, f"a condition is true or false; this is {checked.type}")]
    if not mistakes and (complaint := compile_error(checked.text, frozenset(checked.roots))):
        mistakes = [ExpressionMistake(0, f"CEL: {complaint}")]
    if mistakes:
        first = min(mistakes, key=lambda mistake: mistake.offset)
        at = end_of(text[: first.offset])
        problem = f"line {at.line}, column {at.column}: {first.text}"
        raise SettingsError(name=setting, problem=problem, remedy=REMEDY)
    return checked
