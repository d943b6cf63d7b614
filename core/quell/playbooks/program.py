"""A playbook ready to be run: its conditions, selections, targets and parameters on a view."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial
from typing import Any

import msgspec

from quell.domain.playbook import Playbook, Step
from quell.errors import ExpressionError, PlaybookError
from quell.playbooks.analysis import Analysis, Template, analyse
from quell.playbooks.catalogue import Catalogue
from quell.playbooks.celtypes import ListType, StructType
from quell.playbooks.document import Path
from quell.playbooks.evaluate import NoAnswer, evaluate
from quell.playbooks.facts import MAX_CONTEXT, MAX_LIST, Shaper, TooMuch, known_ids, roots_of
from quell.playbooks.jsondata import is_list, is_mapping
from quell.playbooks.typecheck import Checked
from quell.playbooks.view import RunView, TargetItem

__all__ = ["PlaybookProgram"]

#: where in the parameters msgspec found something; its words may quote data
PLACE = re.compile(r"at `\$([^`]*)`")


class PlaybookProgram:
    """The compiled form of a playbook, for the actions that are there now.

    Raises PlaybookError when the playbook does not fit the catalogue any more. Every question
    is a function of the view; one without an answer raises ExpressionError, and a person decides.
    """

    def __init__(self, playbook: Playbook, catalogue: Catalogue) -> None:
        self.playbook = playbook
        self.catalogue = catalogue
        self.analysis: Analysis = analyse(playbook, catalogue)
        if self.analysis.mistakes:
            raise PlaybookError(
                problems=[
                    f"{playbook.id}: {_where(path)}: {mistake.text}"
                    for path, mistake in self.analysis.mistakes
                ]
            )

    def holds(self, view: RunView) -> bool:
        """Tell whether the playbook's `when` holds; True where it has none."""
        if self.playbook.when is None:
            return True
        return self._condition(("when",), view)

    def select(self, view: RunView) -> dict[str, list[TargetItem]]:
        """Give every selection's entities, in the order of the incident."""
        kinds = {summary.id: str(summary.kind) for summary in view.incident.entities}
        return {
            name: [
                TargetItem(entity_id=found, kind=kinds[found])
                for found in self._selected(view, name)
            ]
            for name in self.playbook.select
        }

    def targets(self, step: Step, view: RunView) -> tuple[str, ...]:
        """Give the canonical ids that `to` selects, each once, in order; none without `to`."""
        if step.to is None:
            return ()
        path = (*self._path(step), "to")
        found = self._evaluate(path, view, {"id"})
        items = found if is_list(found) else [found]
        return self._ids(path, items, view)

    def condition(self, step: Step, view: RunView) -> bool:
        """Tell whether a step's `when` holds; True where it has none."""
        if step.when is None:
            return True
        return self._condition((*self._path(step), "when"), view)

    def items(self, step: Step, view: RunView) -> list[Any]:
        """Give the items of a `for_each` as JSON data, to be bound to its `as` name."""
        if step.for_each is None:
            return []
        path = (*self._path(step), "for_each")
        found = self._evaluate(path, view, self._item_fields(path))
        if not is_list(found):
            raise self._error(path, "it gives no list")
        if len(found) > MAX_LIST:
            raise self._error(path, f"it gives more than {MAX_LIST} items")
        return found

    def params(self, step: Step, view: RunView) -> dict[str, Any]:
        """Fill a step's templates; the result fits the action's parameters."""
        path = (*self._path(step), "with")
        filled: dict[str, Any] = self._fill(step.params, path, view)
        for action in self.catalogue.find(step.do or "", step.system):
            try:
                msgspec.convert(filled, action.params)
            except msgspec.ValidationError as error:
                place = PLACE.search(str(error))
                name = f" at {place.group(1).lstrip('.')}" if place else ""
                raise self._error(path, f"does not fit {action.name}{name}") from None
        return filled

    # -- evaluation ------------------------------------------------------------------------

    def _path(self, step: Step) -> Path:
        return self.analysis.steps[step.id]

    def _error(self, path: Path, problem: str) -> ExpressionError:
        return ExpressionError(playbook=self.playbook.id, where=_where(path), problem=problem)

    def _condition(self, path: Path, view: RunView) -> bool:
        found = self._evaluate(path, view, ())
        if not isinstance(found, bool):
            raise self._error(path, "it is neither true nor false")
        return found

    def _evaluate(self, path: Path, view: RunView, more: Collection[str]) -> Any:
        return self._answer(self.analysis.expressions[path], path, view, more)

    def _answer(self, checked: Checked, path: Path, view: RunView, more: Collection[str]) -> Any:
        shaper = Shaper(wanted=checked.fields | set(more))
        read = roots_of(view, partial(self._selected, view))
        try:
            data = {name: shaper.shape(read(name), kind) for name, kind in checked.roots.items()}
            return evaluate(checked.text, frozenset(data), data)
        except (NoAnswer, TooMuch) as error:
            raise self._error(path, str(error)) from None

    def _selected(self, view: RunView, name: str) -> tuple[str, ...]:
        path: Path = ("select", name)
        return self._ids(path, self._evaluate(path, view, {"id"}), view)

    def _ids(self, path: Path, items: list[Any], view: RunView) -> tuple[str, ...]:
        known = known_ids(view)
        ids = [_id_of(item) for item in items]
        if not known.issuperset(ids):
            raise self._error(path, "it gives something that is no entity of this incident")
        if len(ids) > MAX_LIST:
            raise self._error(path, f"it gives more than {MAX_LIST} entities")
        return tuple(dict.fromkeys(ids))

    # -- templates -------------------------------------------------------------------------

    def _fill(self, value: Any, path: Path, view: RunView) -> Any:
        if isinstance(value, str):
            template = self.analysis.templates.get(path)
            return value if template is None else self._text(template, path, view)
        if is_mapping(value):
            return {key: self._fill(part, (*path, key), view) for key, part in value.items()}
        if is_list(value):
            return [self._fill(part, (*path, at), view) for at, part in enumerate(value)]
        return value

    def _text(self, template: Template, path: Path, view: RunView) -> str:
        parts = [
            part if isinstance(part, str) else self._inserted(part, path, view)
            for part in template.parts
        ]
        text = "".join(parts)
        if len(text) > MAX_CONTEXT:
            raise self._error(path, "the text is too long")
        return text

    def _inserted(self, checked: Checked, path: Path, view: RunView) -> str:
        value = self._answer(checked, path, view, ())
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (str, int, float)):
            return str(value)
        raise self._error(path, "a value cannot be put into text")

    def _item_fields(self, path: Path) -> frozenset[str]:
        found = self.analysis.expressions[path].type
        item = found.item if isinstance(found, ListType) else None
        fields = item.fields.keys() if isinstance(item, StructType) else ()
        return frozenset({*fields, "_name"})


def _id_of(item: Any) -> str:
    """Read an entity's id; what is no entity has none that anybody knows."""
    return str(item.get("id", "")) if is_mapping(item) else ""


def _where(path: Path) -> str:
    """Name a part of a playbook for people: `steps[1].to`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).lstrip(".")
