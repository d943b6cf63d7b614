"""What the schema cannot say about a playbook: actions, targets, order, names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from quell.domain.action import Action, Effect
from quell.domain.playbook import AfterCondition, Playbook, Step
from quell.playbooks.analysis import Analysis, analyse
from quell.playbooks.catalogue import INCIDENT, Catalogue, target_kind
from quell.playbooks.celtypes import ListType, StructType
from quell.playbooks.document import Document, Path
from quell.playbooks.order import ALL
from quell.playbooks.params import check_params
from quell.playbooks.source import Problems, one_of, quote, suggest
from quell.playbooks.vocabulary import reserved_names

__all__ = ["check_playbook"]


def check_playbook(
    playbook: Playbook, document: Document, catalogue: Catalogue, problems: Problems
) -> None:
    """Note every mistake beyond the schema at the place where it is written."""
    analysis = analyse(playbook, catalogue)
    for path, mistake in analysis.mistakes:
        problems.add(document.place_in(path, mistake.offset), mistake.text)
    _Check(playbook, document, catalogue, problems, analysis).run()


@dataclass(slots=True)
class _Check:
    playbook: Playbook
    document: Document
    catalogue: Catalogue
    problems: Problems
    analysis: Analysis
    taken: dict[str, str] = field(default_factory=dict[str, str])

    def run(self) -> None:
        for name in self.playbook.select:
            self.claim(name, "selection", ("select", name), is_key=True)
        self.taken.clear()  # selections live behind `select.`
        self.steps(self.playbook.steps, ("steps",))

    def note(self, path: Path, text: str, *, is_key: bool = False) -> None:
        place = self.document.key_place(path) if is_key else self.document.place(path)
        self.problems.add(place, text)

    def claim(self, name: str, what: str, path: Path, *, is_key: bool = False) -> None:
        """Note a name that is reserved or taken already."""
        if name in reserved_names(self.analysis.scope):
            self.note(path, f"{quote(name)} has a meaning of its own in expressions", is_key=is_key)
        elif name in self.taken:
            text = f"{quote(name)} is the name of another {self.taken[name]} already"
            self.note(path, text, is_key=is_key)
        else:
            self.taken[name] = what

    # -- steps -----------------------------------------------------------------------------

    def steps(self, steps: tuple[Step, ...], path: Path) -> None:
        for index, step in enumerate(steps):
            here = (*path, index)
            self.claim(step.id, "step", (*here, "id"))
            self.after(step, steps[:index], steps[index + 1 :], here)
            if step.do is not None:
                self.action(step, here)
            if step.for_each is not None:
                self.body(step, here)

    def body(self, step: Step, path: Path) -> None:
        if step.for_each is None:
            return
        self.claim(step.for_each.name, "item", (*path, "as"))
        if any(inner.for_each is not None for inner in step.for_each.steps):
            self.note((*path, "steps"), "a for_each inside a for_each is not part of version 1")
        self.steps(step.for_each.steps, (*path, "steps"))

    def after(
        self, step: Step, above: tuple[Step, ...], below: tuple[Step, ...], path: Path
    ) -> None:
        written = (*path, "after")
        if written not in self.document.values:
            return
        for index, edge in enumerate(step.after):
            place = (*written, index) if (*written, index) in self.document.values else written
            text = self.edge(edge.step, edge.condition, step, above, below)
            if text:
                self.note(place, text)

    def edge(
        self,
        name: str,
        condition: AfterCondition,
        step: Step,
        above: tuple[Step, ...],
        below: tuple[Step, ...],
    ) -> str:
        known = [other.id for other in above]
        if name in known or (name == ALL and known):
            return ""
        if name == ALL:
            return "there is no step above this one"
        if name == step.id:
            return "a step cannot come after itself"
        if name in [other.id for other in below]:
            return (
                f"`{name}` stands below; `after` names steps above, so that nothing goes in circles"
            )
        near = suggest(name, known)
        hint = near or (f"; above are {one_of(known)}" if known else "")
        return f"there is no step {quote(name)} above in this list{hint} ({condition})"

    # -- actions ---------------------------------------------------------------------------

    def action(self, step: Step, path: Path) -> None:
        name = step.do or ""
        actions = self.catalogue.find(name, step.system)
        if not actions:
            self.unknown_action(step, path)
        for action in actions:
            for place, is_key, text in self.mistakes(action, step, path):
                self.note(place, text, is_key=is_key)

    def unknown_action(self, step: Step, path: Path) -> None:
        name = step.do or ""
        offered = [action.system for action in self.catalogue.find(name)]
        if offered:
            text = f"{quote(step.system or '')} does not offer {name}; {one_of(offered)} does"
            self.note((*path, "system"), text)
            return
        names = self.catalogue.names()
        near = suggest(name, names)
        text = f"unknown action {quote(name)}{near or f'; there are {one_of(names)}'}"
        self.note((*path, "do"), text)

    def mistakes(self, action: Action, step: Step, path: Path) -> Iterator[tuple[Path, bool, str]]:
        yield from self.target(action, step, path)
        where = (*path, "with") if step.params else (*path, "do")
        for place, is_key, text in check_params(action, step.params, (*path, "with")):
            yield (where, False, text) if place == (*path, "with") else (place, is_key, text)
        if step.ask is not None and action.effect is Effect.READ:
            yield (*path, "ask"), True, f"{action.name} only reads: nobody is asked"
        if step.hold is not None and action.makes is None:
            yield (*path, "hold"), True, f"{action.name} makes no lasting state to hold"

    def target(self, action: Action, step: Step, path: Path) -> Iterator[tuple[Path, bool, str]]:
        kind = target_kind(action)
        if kind == INCIDENT:
            if step.to is not None:
                yield (*path, "to"), True, f"{action.name} acts on the run's incident: remove `to`"
            return
        if step.to is None:
            yield (*path, "do"), False, f"{action.name} needs `to`: which {kind} entities?"
            return
        found = self.kind_of((*path, "to"))
        if found not in (None, kind):
            what = "entities of any kind" if found == "any" else f"{found} entities"
            yield (*path, "to"), False, f"{action.name} acts on {kind} entities; these are {what}"

    def kind_of(self, path: Path) -> str | None:
        """Find which kind of entity an expression gives; None where that is not known."""
        checked = self.analysis.expressions.get(path)
        found = checked.type if checked is not None else None
        item = found.item if isinstance(found, ListType) else found
        return item.kind if isinstance(item, StructType) else None
