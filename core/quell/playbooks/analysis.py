"""Every expression of a playbook, typed in the scope where it stands.

One pass for the loader (which reports the mistakes) and for the compiled program (which
evaluates): both see the same scopes. Expressions are known by their path in the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from quell.domain.playbook import Playbook, Step
from quell.playbooks.catalogue import Catalogue
from quell.playbooks.celtypes import (
    BOOL,
    DYN,
    FLOAT,
    INT,
    TEXT,
    EnumType,
    ListType,
    LiteralText,
    StructType,
    Type,
    Unusable,
)
from quell.playbooks.document import Path
from quell.playbooks.evaluate import compile_error
from quell.playbooks.jsondata import is_list, is_mapping
from quell.playbooks.order import predecessors
from quell.playbooks.templates import Piece, has_template, split_template
from quell.playbooks.tokens import ExpressionMistake
from quell.playbooks.typecheck import Checked, check_expression
from quell.playbooks.vocabulary import base_scope, result_lists

__all__ = ["Analysis", "Part", "Template", "analyse", "strings_in"]

#: literal text, or a checked expression
Part: TypeAlias = str | Checked
Scope: TypeAlias = Mapping[str, Type]


@dataclass(frozen=True, slots=True)
class Template:
    """A text with expressions, ready to be filled."""

    parts: tuple[Part, ...]


@dataclass(slots=True)
class Analysis:
    """What was found, by path; `mistakes` are to be shown where their text is written."""

    scope: dict[str, Type]
    expressions: dict[Path, Checked] = field(default_factory=dict[Path, Checked])
    templates: dict[Path, Template] = field(default_factory=dict[Path, Template])
    mistakes: list[tuple[Path, ExpressionMistake]] = field(
        default_factory=list[tuple[Path, ExpressionMistake]]
    )
    #: where each step is written, by id
    steps: dict[str, Path] = field(default_factory=dict[str, Path])
    #: types of the selections and of `as` names
    selections: dict[str, Type] = field(default_factory=dict[str, Type])
    items: dict[str, Type] = field(default_factory=dict[str, Type])


def analyse(playbook: Playbook, catalogue: Catalogue) -> Analysis:
    """Type every expression and template of a playbook."""
    return _Pass(playbook, catalogue).run()


def strings_in(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """List the texts in a JSON value with their paths; keys are not templates."""
    if isinstance(value, str):
        yield path, value
    elif is_mapping(value):
        for key, part in value.items():
            yield from strings_in(part, (*path, key))
    elif is_list(value):
        for index, part in enumerate(value):
            yield from strings_in(part, (*path, index))


class _Pass:
    def __init__(self, playbook: Playbook, catalogue: Catalogue) -> None:
        self.playbook = playbook
        self.catalogue = catalogue
        self.found = Analysis(base_scope(catalogue))

    def run(self) -> Analysis:
        playbook, base = self.playbook, self.found.scope
        if playbook.when is not None:
            self.condition(("when",), playbook.when, base)
        for name, text in playbook.select.items():
            self.found.selections[name] = self.selection(name, text)
        self.steps(playbook.steps, ("steps",), self.with_selections())
        return self.found

    def with_selections(self) -> dict[str, Type]:
        struct = StructType("a selection", dict(self.found.selections))
        return {**self.found.scope, "select": struct}

    def selection(self, name: str, text: str) -> Type:
        path: Path = ("select", name)
        found = self.expression(path, text, self.with_selections())
        if _is_entities(found):
            return found
        if not self.has_mistake(path):
            self.mistake(path, f"a selection is a list of entities; this is {found}")
        return ListType(None)

    # -- steps -----------------------------------------------------------------------------

    def steps(self, steps: tuple[Step, ...], path: Path, outer: Scope) -> None:
        """Type the steps of one list: each sees the results of those that surely ended before."""
        before = predecessors(steps)
        results = {step.id: self.results(step) for step in steps}
        for index, step in enumerate(steps):
            seen = {
                other.id: results[other.id]
                if other.id in before[step.id]
                else Unusable(_not_ended(other, step))
                for other in steps
            }
            self.found.steps.setdefault(step.id, (*path, index))
            self.step(step, (*path, index), {**outer, **seen})

    def results(self, step: Step) -> Type:
        if step.for_each is not None:
            return Unusable("results of a for_each are seen by the steps inside it only")
        if step.do is None:
            return Unusable("a step that waits has no results")
        actions = self.catalogue.find(step.do, step.system)
        return result_lists(actions) if actions else DYN

    def step(self, step: Step, path: Path, scope: Scope) -> None:
        if step.when is not None:
            self.condition((*path, "when"), step.when, scope)
        if step.to is not None:
            self.targets((*path, "to"), step.to, scope)
        for inner, text in strings_in(step.params, (*path, "with")):
            if has_template(text):
                self.template(inner, text, scope)
        if step.for_each is not None:
            self.body(step, path, scope)

    def body(self, step: Step, path: Path, scope: Scope) -> None:
        if step.for_each is None:
            return
        found = self.expression((*path, "for_each"), step.for_each.items, scope)
        if found != DYN and not isinstance(found, ListType):
            self.mistake((*path, "for_each"), f"for_each needs a list, found {found}")
        item = found.item if isinstance(found, ListType) else None
        self.found.items[step.for_each.name] = item if item is not None else DYN
        inner = {**scope, step.for_each.name: item if item is not None else DYN}
        self.steps(step.for_each.steps, (*path, "steps"), inner)

    # -- expressions -----------------------------------------------------------------------

    def condition(self, path: Path, text: str, scope: Scope) -> None:
        found = self.expression(path, text, scope)
        if found != BOOL and not self.has_mistake(path):
            self.mistake(path, f"a condition is true or false; this is {found}")

    def targets(self, path: Path, text: str, scope: Scope) -> None:
        found = self.expression(path, text, scope)
        is_one = isinstance(found, StructType) and found.is_entity
        if not (is_one or _is_entities(found) or self.has_mistake(path)):
            self.mistake(path, f"targets are a list of entities; this is {found}")

    def template(self, path: Path, text: str, scope: Scope) -> None:
        try:
            pieces = split_template(text)
        except ExpressionMistake as mistake:
            self.found.mistakes.append((path, mistake))
            return
        parts = [self.piece(path, piece, scope) for piece in pieces]
        self.found.templates[path] = Template(tuple(parts))

    def piece(self, path: Path, piece: Piece, scope: Scope) -> Part:
        if not piece.is_expression:
            return piece.text
        checked = self.checked(path, piece.text, scope, piece.offset)
        if not checked.mistakes and not _is_insertable(checked.type):
            first = len(piece.text) - len(piece.text.lstrip())
            text = f"{checked.type} cannot be put into text; use names(…), size(…) or a field"
            self.mistake(path, text, piece.offset + first)
        return checked

    def expression(self, path: Path, text: str, scope: Scope) -> Type:
        checked = self.checked(path, text, scope, 0)
        self.found.expressions[path] = checked
        return checked.type

    def checked(self, path: Path, text: str, scope: Scope, offset: int) -> Checked:
        checked = check_expression(text, scope)
        for mistake in checked.mistakes:
            self.mistake(path, mistake.text, offset + mistake.offset)
        if not checked.mistakes:
            complaint = compile_error(checked.text, frozenset(checked.roots))
            if complaint is not None:
                checked.mistakes.append(ExpressionMistake(0, complaint))
                self.mistake(path, f"CEL: {complaint}", offset)
        return checked

    def mistake(self, path: Path, text: str, offset: int = 0) -> None:
        self.found.mistakes.append((path, ExpressionMistake(offset, text)))

    def has_mistake(self, path: Path) -> bool:
        return any(seen == path for seen, _ in self.found.mistakes)


def _not_ended(other: Step, step: Step) -> str:
    if other is step:
        return "a step's own results are not known before it has ended"
    return f"`{other.id}` need not have ended before `{step.id}`: name it in `after`"


def _is_entities(found: Type) -> bool:
    if not isinstance(found, ListType):
        return False
    return found.item is None or (isinstance(found.item, StructType) and found.item.is_entity)


def _is_insertable(found: Type) -> bool:
    return found in (TEXT, INT, FLOAT, BOOL, DYN) or isinstance(found, (EnumType, LiteralText))
