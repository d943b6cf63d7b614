"""From a run's story to the spans of a trace. Pure.

Ids follow from what the journal says, so every process gives one thing the same id: a trace is
whole whichever workers had the run in hand, and whoever of them was killed. A trace is one
change of an incident with all that it started; what a person ordered is a trace of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from quell.domain.run import EffectState, RunState, StepState
from quell.journal.stories import Change, EffectPart, StepPart, Story, Try

__all__ = ["Span", "spans_of", "trace_id_of"]

Value = str | int | bool
BAD_EFFECTS = frozenset({EffectState.FAILED.value, EffectState.UNKNOWN.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One stretch of time in a trace."""

    name: str
    trace_id: int
    span_id: int
    #: None for the first span of a trace
    parent_id: int | None
    start: datetime
    end: datetime
    attributes: Mapping[str, Value]
    is_error: bool = False
    #: it is a call to a product
    is_call: bool = False
    #: moments in it, by name
    moments: Mapping[str, datetime] = field(default_factory=dict[str, datetime])


def trace_id_of(story: Story) -> int:
    """Give the trace that a run belongs to."""
    run = story.run
    if story.change is None:
        return _number(16, "run", run.tenant_id, run.id)
    return _number(16, "change", run.tenant_id, str(run.incident_id), str(run.revision))


def spans_of(story: Story) -> list[Span]:
    """Tell a run that has ended as spans; the change that started it is told by one run alone."""
    trace_id = trace_id_of(story)
    spans = list(_run(story, trace_id))
    if story.change is not None and story.tells_of_change:
        spans += _change(story, story.change, trace_id)
    return spans


def _change(story: Story, change: Change, trace_id: int) -> Iterator[Span]:
    matched = change.matched_at or change.at
    attributes = {**_about(story), "quell.origin": change.origin}
    if change.source_id is not None:
        attributes["quell.source"] = change.source_id
    yield Span(
        name="sync.observe",
        trace_id=trace_id,
        span_id=_observe_id(trace_id),
        parent_id=None,
        start=min(change.happened_at, change.at),
        end=change.at,
        attributes=attributes,
    )
    yield Span(
        name="match",
        trace_id=trace_id,
        span_id=_match_id(trace_id),
        parent_id=_observe_id(trace_id),
        start=change.at,
        end=max(matched, change.at),
        attributes=_about(story),
    )


def _run(story: Story, trace_id: int) -> Iterator[Span]:
    run = story.run
    end = run.finished_at or run.created_at
    run_id = _number(8, "run", run.tenant_id, run.id)
    yield Span(
        name=f"run {run.playbook_id}",
        trace_id=trace_id,
        span_id=run_id,
        parent_id=_match_id(trace_id) if story.change is not None else None,
        start=run.created_at,
        end=end,
        attributes={
            **_about(story),
            "quell.run": run.id,
            "quell.playbook": run.playbook_id,
            "quell.state": run.state.value,
            "quell.priority": run.priority,
            "quell.claims": run.fence,
        },
        is_error=run.state is RunState.FAILED,
    )
    for step in story.steps:
        yield _step(story, step, trace_id, run_id, end)
    for one in story.tries:
        yield _try(story, one, trace_id)
    for effect in story.effects:
        yield _effect(story, effect, trace_id, run_id, end)


def _step(story: Story, step: StepPart, trace_id: int, run_id: int, end: datetime) -> Span:
    return Span(
        name=f"step {step.step_key}",
        trace_id=trace_id,
        span_id=_step_id(story, step.step_key),
        parent_id=run_id,
        start=step.started_at,
        end=max(step.ended_at or end, step.started_at),
        attributes={
            "quell.step": step.step_key,
            "quell.state": step.state,
            "quell.attempts": step.attempt,
        },
        is_error=step.state == StepState.FAILED.value,
    )


def _try(story: Story, one: Try, trace_id: int) -> Span:
    return Span(
        name=f"attempt {one.attempt}",
        trace_id=trace_id,
        span_id=_number(
            8, "try", story.run.tenant_id, story.run.id, one.step_key, str(one.attempt)
        ),
        parent_id=_step_id(story, one.step_key),
        start=one.started_at,
        end=max(one.ended_at or one.started_at, one.started_at),
        attributes={"quell.worker": one.worker, "quell.outcome": one.outcome},
    )


def _effect(story: Story, effect: EffectPart, trace_id: int, run_id: int, end: datetime) -> Span:
    step_id = _step_id(story, effect.step_key) if effect.step_key is not None else run_id
    return Span(
        name=f"effect {effect.action}",
        trace_id=trace_id,
        span_id=_number(8, "effect", story.run.tenant_id, effect.effect_key),
        parent_id=step_id,
        start=effect.decided_at,
        end=max(effect.settled_at or end, effect.decided_at),
        attributes={
            "quell.action": effect.action,
            "quell.system": effect.system,
            "quell.effect": effect.kind,
            "quell.state": effect.state,
            "quell.target": effect.target_id,
            "quell.target.kind": effect.target_kind,
        },
        is_error=effect.state in BAD_EFFECTS,
        is_call=effect.sent_at is not None,
        moments={"sent": effect.sent_at} if effect.sent_at is not None else {},
    )


def _about(story: Story) -> dict[str, Value]:
    run = story.run
    about: dict[str, Value] = {"quell.tenant": run.tenant_id}
    if run.incident_id is not None:
        about |= {"quell.incident": run.incident_id, "quell.revision": run.revision}
    return about


def _observe_id(trace_id: int) -> int:
    return _number(8, "observe", str(trace_id))


def _match_id(trace_id: int) -> int:
    return _number(8, "match", str(trace_id))


def _step_id(story: Story, step_key: str) -> int:
    return _number(8, "step", story.run.tenant_id, story.run.id, step_key)


def _number(size: int, *parts: str) -> int:
    """Give the number that stands for something, everywhere and always; never 0."""
    named = "\x00".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(named).digest()[:size], "big") or 1
