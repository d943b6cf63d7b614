"""A playbook after checking: what starts it, what it looks at, and its steps.

Expressions are kept as text here; `quell.playbooks` compiles and checks them. Steps form
a graph by `after`; without it, a step follows the one above it.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Any

import msgspec

from quell.domain.approval import Ask

__all__ = [
    "After",
    "AfterCondition",
    "ForEach",
    "HoldTerms",
    "IncidentEvent",
    "Playbook",
    "Retry",
    "Step",
    "Trigger",
]


class IncidentEvent(StrEnum):
    """What can happen to an incident that a trigger may name."""

    CREATED = "created"
    #: any revision
    UPDATED = "updated"
    ALERTS_ADDED = "alerts_added"
    #: alerts, and what only they named, went to another incident
    ALERTS_MOVED = "alerts_moved"
    SEVERITY_CHANGED = "severity_changed"
    STATUS_CHANGED = "status_changed"
    OWNER_CHANGED = "owner_changed"
    VERDICT_CHANGED = "verdict_changed"
    TAGS_CHANGED = "tags_changed"
    COMMENT_ADDED = "comment_added"
    MERGED = "merged"


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """What starts a playbook. It starts once per incident, at the first revision that fits."""

    incident: tuple[IncidentEvent, ...]
    #: older events start nothing above `annotate`; None takes the default of 2 h for containment
    max_age: timedelta | None = None
    #: `incident`, or an entity kind: later revisions then act on entities not yet acted on
    once_per: str = "incident"


class AfterCondition(StrEnum):
    """How a step must have ended for the next to start."""

    #: every target of it is in `ok`
    SUCCEEDED = "succeeded"
    #: at least one target of it is not in `ok`
    FAILED = "failed"
    #: it has ended, however
    SETTLED = "settled"


class After(msgspec.Struct, frozen=True, kw_only=True):
    """One edge: the step named (or `all`) and how it must have ended."""

    step: str
    condition: AfterCondition = AfterCondition.SUCCEEDED


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How often a retryable failure is tried again, and how long between."""

    attempts: int = 3
    wait: timedelta = timedelta(seconds=10)


class HoldTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How long the state is wanted before somebody looks at it again."""

    review: timedelta = timedelta(hours=72)


class ForEach(msgspec.Struct, frozen=True, kw_only=True):
    """A body of steps, run once for each item of a list."""

    items: str
    name: str
    steps: tuple[Step, ...]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One node of a playbook: an action (`do`), a wait, or a body (`for_each`)."""

    id: str
    do: str | None = None
    #: CEL giving the set of targets; None for actions on the incident
    to: str | None = None
    #: literal values or templates by parameter name; JSON as written
    params: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    #: CEL condition; false skips the step
    when: str | None = None
    after: tuple[After, ...] = ()
    ask: Ask | None = None
    retry: Retry = Retry()
    timeout: timedelta | None = None
    wait: timedelta | None = None
    hold: HoldTerms | None = None
    for_each: ForEach | None = None
    #: which system's implementation, where several offer the action
    system: str | None = None


class Playbook(msgspec.Struct, frozen=True, kw_only=True):
    """A checked playbook of language version 1."""

    id: str
    language: int
    #: SHA-256 of the source text: what is activated, and what a run keeps
    digest: str
    trigger: Trigger | None
    steps: tuple[Step, ...]
    title: str = ""
    description: str = ""
    when: str | None = None
    #: named selections, in order
    select: dict[str, str] = msgspec.field(default_factory=dict[str, str])
