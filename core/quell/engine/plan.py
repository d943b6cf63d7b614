"""The plan: which steps can start, which are skipped, and whether the run is over. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quell.domain.ids import StepKey
from quell.domain.playbook import After, AfterCondition, Step
from quell.domain.run import RunState, StepState, TargetResult
from quell.journal.steps import StepRow

__all__ = ["Known", "Node", "consequences", "has_failed", "is_over", "nodes", "outcome", "ready"]

#: in `after`: every step above, in the same list
ALL = "all"
OK = frozenset({TargetResult.DONE, TargetResult.ALREADY})

#: steps of a run that have begun, by key
Known = Mapping[StepKey, StepRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A step at its place in a run: inside a body once for each item."""

    key: StepKey
    step: Step
    #: the list that the step stands in, and its place there
    siblings: tuple[Step, ...]
    index: int
    #: what all keys of that list begin with: empty, or `body[2].`
    prefix: str = ""
    #: items of the bodies around it, by name
    bindings: Mapping[str, Any] = field(default_factory=dict[str, Any])


def nodes(
    steps: Sequence[Step],
    known: Known,
    *,
    prefix: str = "",
    bindings: Mapping[str, Any] | None = None,
) -> Iterator[Node]:
    """Walk over all steps that exist now; bodies exist once their `for_each` has begun."""
    listed = tuple(steps)
    for index, step in enumerate(listed):
        key = StepKey(f"{prefix}{step.id}")
        yield Node(
            key=key,
            step=step,
            siblings=listed,
            index=index,
            prefix=prefix,
            bindings=dict(bindings or {}),
        )
        yield from _bodies(step, key, known, bindings or {})


def ready(steps: Sequence[Step], known: Known) -> list[Node]:
    """List the steps that can start or go on: not settled, and everything before them fits."""
    return [
        node
        for node in nodes(steps, known)
        if not _is_settled(node.key, known)
        and not _is_open_body(node, known)
        and _edges(node, known) is True
    ]


def consequences(steps: Sequence[Step], known: Known) -> list[StepRow]:
    """List what follows by itself: steps whose `after` cannot hold, bodies that are complete."""
    found: dict[StepKey, StepRow] = {}
    while True:
        present = {**known, **found}
        new = {row.key: row for node in nodes(steps, present) for row in _follows(node, present)}
        if not new:
            return list(found.values())
        found |= new


def is_over(steps: Sequence[Step], known: Known) -> bool:
    """Tell whether every step is settled."""
    return all(_is_settled(node.key, known) for node in nodes(steps, known))


def outcome(known: Known) -> RunState:
    """Tell how a run that is over ended."""
    failed = any(row.state is StepState.FAILED for row in known.values())
    return RunState.FAILED if failed else RunState.DONE


def has_failed(row: StepRow) -> bool:
    """Tell whether at least one target is not in the wanted state, or the step itself failed."""
    return row.state is StepState.FAILED or any(entry.result not in OK for entry in row.results)


def _bodies(step: Step, key: StepKey, known: Known, bindings: Mapping[str, Any]) -> Iterator[Node]:
    row = known.get(key)
    if step.for_each is None or row is None or row.plan is None or row.plan.items is None:
        return
    for number, item in enumerate(row.plan.items):
        yield from nodes(
            step.for_each.steps,
            known,
            prefix=f"{key}[{number}].",
            bindings={**bindings, step.for_each.name: item},
        )


def _is_settled(key: StepKey, known: Known) -> bool:
    row = known.get(key)
    return row is not None and row.state.is_settled


def _is_open_body(node: Node, known: Known) -> bool:
    row = known.get(node.key)
    return node.step.for_each is not None and row is not None and row.plan is not None


def _edges(node: Node, known: Known) -> bool | None:
    """True when the step can start, False when it never can, None while that is open."""
    met = [_edge(edge, node, known) for edge in node.step.after]
    if None in met:
        return None
    return all(met)


def _edge(edge: After, node: Node, known: Known) -> bool | None:
    keys = _sources(edge, node, known)
    if not all(_is_settled(key, known) for key in keys):
        return None
    return all(_holds(edge.condition, known[key]) for key in keys)


def _sources(edge: After, node: Node, known: Known) -> list[StepKey]:
    if edge.step == ALL:
        return [StepKey(f"{node.prefix}{step.id}") for step in node.siblings[: node.index]]
    if any(step.id == edge.step for step in node.siblings):
        return [StepKey(f"{node.prefix}{edge.step}")]
    # a step outside of the body: the nearest list around it that has such a step
    prefix = node.prefix
    while prefix:
        prefix = _outer(prefix)
        if (key := StepKey(f"{prefix}{edge.step}")) in known:
            return [key]
    return [StepKey(edge.step)]


def _outer(prefix: str) -> str:
    """Give the prefix of the list that a body stands in: `a[1].b[2].` stands in `a[1].`."""
    head, _, _ = prefix.rstrip(".").rpartition(".")
    return f"{head}." if head else ""


def _holds(condition: AfterCondition, row: StepRow) -> bool:
    match condition:
        case AfterCondition.SETTLED:
            return True
        case AfterCondition.SUCCEEDED:
            return row.state is not StepState.SKIPPED and not has_failed(row)
        case AfterCondition.FAILED:
            return has_failed(row)


def _follows(node: Node, known: Known) -> Iterator[StepRow]:
    if _is_settled(node.key, known):
        return
    if _is_open_body(node, known):
        yield from _closed_body(node, known)
    elif node.key not in known and _edges(node, known) is False:
        unmet = ", ".join(
            f"{edge.step}.{edge.condition}"
            for edge in node.step.after
            if _edge(edge, node, known) is False
        )
        yield StepRow(key=node.key, state=StepState.SKIPPED, error=f"{unmet} does not hold")


def _closed_body(node: Node, known: Known) -> Iterator[StepRow]:
    inside = [inner.key for inner in _bodies(node.step, node.key, known, node.bindings)]
    if not all(_is_settled(key, known) for key in inside):
        return
    row = known[node.key]
    failed = any(known[key].state is StepState.FAILED for key in inside)
    yield StepRow(
        key=node.key,
        state=StepState.FAILED if failed else StepState.DONE,
        attempt=row.attempt,
        plan=row.plan,
        started_at=row.started_at,
    )
