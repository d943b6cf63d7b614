"""What a revision starts: the trigger, `when`, what was begun before, and what is held. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from quell.domain.action import Effect
from quell.domain.incident import IncidentFields, Origin
from quell.domain.playbook import IncidentEvent, Playbook, Step
from quell.domain.urgency import READING, URGENT, USUAL
from quell.domain.view import IncidentView, RevisionView
from quell.errors import ExpressionError
from quell.journal.starts import Begun
from quell.playbooks import Catalogue, PlaybookProgram, RunView

__all__ = [
    "MAX_DEPTH",
    "Held",
    "No",
    "Start",
    "believed_view",
    "claims_of",
    "decide_start",
    "strongest_effect",
]

#: how many runs may stand between a change from outside and what it starts
MAX_DEPTH = 3

#: what is above `annotate`
STRONG = frozenset({Effect.CONTAIN, Effect.DENY, Effect.REMEDIATE, Effect.RESTORE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A run begins."""

    #: unique for each thing that may start the playbook once
    cause: str
    #: entities that it takes on; None where the playbook starts once per incident
    claims: tuple[str, ...] | None = None
    #: lower is sooner: containment before remarks
    priority: int = USUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A run would begin, and a person has to let it go."""

    reason: str
    #: an expression could not be answered: somebody is told
    pages: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class No:
    """Nothing begins, and this is why."""

    reason: str


def decide_start(
    program: PlaybookProgram,
    revision: RevisionView,
    view: IncidentView,
    begun: Begun,
    *,
    now: datetime,
    max_age: timedelta,
    authority: frozenset[str] = frozenset(),
) -> Start | Held | No:
    """Decide whether a playbook starts at a revision. Never raises for what a playbook says."""
    playbook = program.playbook
    if (refusal := _refusal(playbook, revision, view, begun)) is not None:
        return No(reason=refusal)
    try:
        if not strongest_effect(playbook, program.catalogue):
            priority = _urgency(playbook, program.catalogue)
            return _start(program, revision, view, begun, priority=priority)
        return _start_strong(
            program, revision, view, begun, now=now, max_age=max_age, authority=authority
        )
    except ExpressionError as error:
        # never taken for false: a person decides
        return Held(reason=str(error), pages=True)


def strongest_effect(playbook: Playbook, catalogue: Catalogue) -> bool:
    """Tell whether any step has an effect above `annotate`; what is not known counts as such."""
    return any(_is_strong(step, catalogue) for step in playbook.steps)


def _refusal(
    playbook: Playbook, revision: RevisionView, view: IncidentView, begun: Begun
) -> str | None:
    trigger = playbook.trigger
    if trigger is None:
        return "it has no trigger"
    if view.merged_into is not None:
        return f"the incident was merged into {view.merged_into}"
    wanted = set(trigger.incident)
    if not (wanted & set(revision.events) or IncidentEvent.UPDATED in wanted):
        return f"the trigger does not name {', '.join(revision.events) or 'this change'}"
    if revision.caused_by is not None and revision.caused_by in begun.run_ids:
        return "the change was made by a run of this playbook"
    if revision.depth >= MAX_DEPTH:
        return f"{revision.depth} runs stand between this change and one from outside"
    if trigger.once_per == "incident" and begun.run_ids:
        return "it was started for this incident before"
    return None


def believed_view(view: IncidentView) -> IncidentView:
    """Give the incident with the values that may set off what is above `annotate`."""
    return msgspec.structs.replace(view, fields=view.vouched or IncidentFields())


def _start_strong(
    program: PlaybookProgram,
    revision: RevisionView,
    view: IncidentView,
    begun: Begun,
    *,
    now: datetime,
    max_age: timedelta,
    authority: frozenset[str],
) -> Start | Held | No:
    """Decide by what the product that detects says; others' changes set nothing off."""
    found = _start(program, revision, believed_view(view), begun, priority=URGENT)
    if isinstance(found, No) and not isinstance(_start(program, revision, view, begun), No):
        return No(
            reason="its condition holds only by values that the product which detects did not set "
            "(sync.authority names systems whose users may)"
        )
    if not isinstance(found, Start):
        return found
    if not _is_believed(revision, view, authority):
        return No(
            reason=f"the change was made in {revision.source_id}, which does not detect "
            "(sync.authority names systems whose users may set off containment)"
        )
    reason = _held(program.playbook, revision, now, max_age)
    return Held(reason=reason) if reason is not None else found


def _is_believed(revision: RevisionView, view: IncidentView, authority: frozenset[str]) -> bool:
    if revision.source_id is None or revision.source_id in authority:
        return True
    # an incident that no such source has was detected where it is
    is_native = not any(copy.source_id in authority for copy in view.copies)
    return is_native and view.vouched is not None


def _start(
    program: PlaybookProgram,
    revision: RevisionView,
    view: IncidentView,
    begun: Begun,
    *,
    priority: int = USUAL,
) -> Start | No:
    playbook = program.playbook
    run_view = RunView(incident=view)
    if not program.holds(run_view):
        return No(reason="its condition does not hold")
    claims = claims_of(program, run_view, begun)
    if claims is not None and not claims:
        return No(reason="it has taken on all of its entities before")
    cause = f"{playbook.id}/{view.id}"
    return Start(
        cause=cause if claims is None else f"{cause}/{revision.revision}",
        claims=claims,
        priority=priority,
    )


def claims_of(program: PlaybookProgram, run_view: RunView, begun: Begun) -> tuple[str, ...] | None:
    """List the entities that a run would be for and that nobody has taken on; None if not asked."""
    trigger = program.playbook.trigger
    if trigger is None or trigger.once_per == "incident":
        return None
    chosen = [
        item.entity_id
        for items in program.select(run_view).values()
        for item in items
        if item.kind == trigger.once_per
    ]
    if not program.playbook.select:
        chosen = [
            one.id for one in run_view.incident.entities if one.kind.value == trigger.once_per
        ]
    return tuple(one for one in dict.fromkeys(chosen) if one not in begun.acted)


def _held(
    playbook: Playbook, revision: RevisionView, now: datetime, max_age: timedelta
) -> str | None:
    limit = (playbook.trigger.max_age if playbook.trigger is not None else None) or max_age
    if revision.origin is not Origin.LIVE:
        return f"the change is not live but {revision.origin.value}"
    if now - revision.happened_at > limit:
        return f"the change is older than {limit}"
    return None


def _urgency(playbook: Playbook, catalogue: Catalogue) -> int:
    """Tell how urgent a playbook is that has no effect above `annotate`."""
    remarks = any(_remarks(step, catalogue) for step in playbook.steps)
    return USUAL if remarks else READING


def _remarks(step: Step, catalogue: Catalogue) -> bool:
    if step.for_each is not None:
        return any(_remarks(inner, catalogue) for inner in step.for_each.steps)
    offered = catalogue.find(step.do, step.system) if step.do is not None else ()
    return any(one.effect is not Effect.READ for one in offered)


def _is_strong(step: Step, catalogue: Catalogue) -> bool:
    if step.for_each is not None:
        return any(_is_strong(inner, catalogue) for inner in step.for_each.steps)
    if step.do is None:
        return False
    offered: Sequence[Effect] = [one.effect for one in catalogue.find(step.do, step.system)]
    return not offered or bool(STRONG.intersection(offered))
