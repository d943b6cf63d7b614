"""What a step wants of one target: the target as it was found, and what success would mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from quell.domain.action import Action, Effect, Target, Unresolved
from quell.domain.approval import Answer
from quell.domain.hold import Hold, HoldOwner
from quell.domain.ids import EntityId
from quell.domain.outcome import Observation, Observed
from quell.domain.playbook import HoldTerms
from quell.domain.ports import EntitySummary
from quell.engine.calls import bare_target, incident_target
from quell.engine.context import INCIDENT, RunContext
from quell.engine.guard import GuardRequest
from quell.engine.order import read_target, target_body
from quell.engine.plan import Node
from quell.engine.shell import Shell
from quell.journal import entities
from quell.journal.effects import DroppedHolds
from quell.journal.standing import Glance, Wanted, glance

__all__ = [
    "Wish",
    "canonical_targets",
    "holds_after",
    "prepare",
    "request_of",
    "wanted_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One target of a step, looked up and looked at."""

    key: str
    #: the entity as the incident has it; the target is what it turned out to be
    asked_id: str
    target: Target
    observation: Observation | None = None
    unresolved: str = ""
    glance: Glance | None = None
    #: the entity as the incident has it now, if it does
    summary: EntitySummary | None = None

    @property
    def is_already(self) -> bool:
        """Tell whether the wanted state holds, so that nothing is sent."""
        return self.observation is not None and self.observation.state is Observed.SO


async def prepare(
    shell: Shell,
    context: RunContext,
    action: Action,
    target_id: str,
    key: str,
    rivals: Sequence[str],
) -> Wish:
    """Look a target up, and look how its state stands."""
    if action.target is None:
        return Wish(key=key, asked_id=target_id, target=incident_target(target_id, key))
    summary = await _summary(shell, context, target_id, key)
    if summary is None:
        return Wish(
            key=key,
            asked_id=target_id,
            target=Target(id=target_id, kind="unknown"),
            unresolved="the entity is not part of the incident any more",
        )
    found = await shell.calls.resolve(summary)
    if isinstance(found, Unresolved):
        return Wish(
            key=key,
            asked_id=target_id,
            target=bare_target(summary),
            unresolved=found.reason,
            summary=summary,
        )
    canonical = await _canonical(shell, summary, found)
    found = replace(found, id=canonical)
    # a remark has no state that could be there already
    looks = action.is_guarded or action.effect is Effect.RESTORE
    if not looks:
        return Wish(key=key, asked_id=target_id, target=found, summary=summary)
    # first: whatever is decided from here on makes the look stale
    before = await shell.journal.ask(glance(shell.tenant_id, canonical, rivals, key))
    observation = await shell.calls.observe(action, found)
    return Wish(
        key=key,
        asked_id=target_id,
        target=found,
        observation=observation,
        glance=before if rivals else None,
        summary=summary,
    )


async def _summary(
    shell: Shell, context: RunContext, target_id: str, key: str
) -> EntitySummary | None:
    """Find an entity by the id that it had when the step began; it may have a new one now."""
    if (summary := context.entities.get(target_id)) is not None:
        return summary
    question = entities.canonical(shell.tenant_id, EntityId(target_id))
    if (summary := context.entities.get(await shell.journal.ask(question))) is not None:
        return summary
    row = context.effects.get(key)
    return read_target(row.target) if row is not None else None


async def _canonical(shell: Shell, summary: EntitySummary, found: Target) -> str:
    """Give the id of what an entity turned out to be; names that were new go on record.

    So two names of one machine are one target, for guard, holds and limits.
    """
    known = set(summary.entity.aliases())
    if all(alias in known for alias in found.aliases if alias.is_strong):
        return summary.id
    on_record = await shell.journal.ask(entities.aliases_of(shell.tenant_id, EntityId(summary.id)))
    strong = {alias for alias in found.aliases if alias.is_strong}
    if strong.issubset(on_record):
        return await shell.journal.ask(entities.canonical(shell.tenant_id, EntityId(summary.id)))
    entity = found.entity or summary.entity
    return await shell.commit(entities.observe(shell.tenant_id, entity, found.aliases))


async def canonical_targets(shell: Shell, wishes: Sequence[Wish]) -> list[Wish]:
    """Bring targets up to date with what the look-ups of the whole set have joined."""
    ids = [EntityId(one.target.id) for one in wishes if one.target.kind != INCIDENT]
    if not ids:
        return list(wishes)
    tenant_id = shell.tenant_id
    found = await shell.journal.ask(
        lambda tx: {one: entities.canonical(tenant_id, one)(tx) for one in ids}
    )
    return [
        replace(one, target=replace(one.target, id=found[EntityId(one.target.id)]))
        if one.target.kind != INCIDENT
        else one
        for one in wishes
    ]


def request_of(context: RunContext, node: Node, action: Action, wish: Wish) -> GuardRequest:
    """Put the guard's question for one target."""
    trigger = context.program.playbook.trigger
    summary = wish.summary
    order = context.row.options.order
    approved, refusal = _answers(context, node, wish.asked_id)
    seen = {one.id for one in context.view.entities} if context.view is not None else set[str]()
    return GuardRequest(
        action=action.name,
        effect=action.effect,
        target=wish.target,
        roles=frozenset(summary.roles) if summary is not None else frozenset(),
        verdict=summary.verdict if summary is not None else "unknown",
        is_in_incident=(summary is not None and summary.id in seen) or wish.target.kind == INCIDENT,
        unresolved=wish.unresolved,
        step_asks=node.step.ask is not None,
        approved=approved,
        refusal=refusal,
        max_age=trigger.max_age if trigger is not None else None,
        own_holds=_own(context),
        glance=wish.glance,
        is_undo=order is not None and bool(order.undoes),
    )


def wanted_of(
    context: RunContext, node: Node, action: Action, wish: Wish, vendor_key: str
) -> Wanted:
    """Give what is written down about a target when it is decided on."""
    summary = wish.summary
    entity = wish.target.entity or (summary.entity if summary is not None else None)
    name = entity.name if entity is not None else ""
    adds, drops = holds_after(context, node, action, wish.target.id)
    if wish.is_already and action.makes is not None and not _is_known_as_ours(wish.observation):
        # before ours: whether others hold it already is looked at first
        adds = (_vendors(wish, action.makes), *adds)
    return Wanted(
        key=wish.key,
        vendor_key=vendor_key,
        target_id=wish.target.id,
        asked_id=wish.asked_id,
        target_kind=wish.target.kind,
        name=name or _first_name(wish.target),
        target=target_body(
            wish.target.id, entity, wish.target.aliases, kind=wish.target.kind, name=name
        ),
        before=wish.observation,
        is_fresh=wish.key not in context.effects,
        is_already=wish.is_already,
        adds=adds,
        drops=drops,
    )


def holds_after(
    context: RunContext, node: Node, action: Action, target_id: str
) -> tuple[tuple[Hold, ...], tuple[DroppedHolds, ...]]:
    """Give the holds that begin and end when the wanted state is there."""
    options = context.row.options
    if action.makes is not None:
        terms = node.step.hold or HoldTerms()
        hold = Hold(
            entity_id=target_id,
            state=action.makes,
            owner=HoldOwner.PERSON if options.ordered_by else HoldOwner.RUN,
            owner_id=options.ordered_by or context.row.id,
            review_at=context.row.created_at + terms.review,
            reason=context.row.playbook_id,
        )
        # a suppression that is still there was broken by an approval
        return (hold,), (_dropped(target_id, action.makes, HoldOwner.SUPPRESS),)
    if action.ends is None:
        return (), ()
    return _after_release(context, action.ends, target_id)


def _after_release(
    context: RunContext, state: str, target_id: str
) -> tuple[tuple[Hold, ...], tuple[DroppedHolds, ...]]:
    options = context.row.options
    is_undo = options.order is not None and bool(options.order.undoes)
    if not options.ordered_by:
        return (), (_dropped(target_id, state, HoldOwner.RUN, context.row.id),)
    suppress = Hold(
        entity_id=target_id,
        state=state,
        owner=HoldOwner.SUPPRESS,
        owner_id=options.ordered_by,
        reason=options.order.reason if options.order is not None else "",
    )
    if is_undo:
        owners = sorted(_own(context))
        kinds = (HoldOwner.RUN, HoldOwner.PERSON)
        drops = tuple(_dropped(target_id, state, kind, one) for one in owners for kind in kinds)
        return (suppress,), drops
    everybody = (HoldOwner.RUN, HoldOwner.PERSON, HoldOwner.VENDOR)
    return (suppress,), tuple(_dropped(target_id, state, kind) for kind in everybody)


def _dropped(
    entity_id: str, state: str, owner: HoldOwner, owner_id: str | None = None
) -> DroppedHolds:
    return DroppedHolds(entity_id=entity_id, state=state, owner=owner, owner_id=owner_id)


def _own(context: RunContext) -> frozenset[str]:
    order = context.row.options.order
    return frozenset({context.row.id, *(order.ends_holds_of if order is not None else ())})


def _is_known_as_ours(observation: Observation | None) -> bool:
    return observation is not None and bool(observation.keys)


def _vendors(wish: Wish, state: str) -> Hold:
    made_by = wish.observation.made_by if wish.observation is not None else ""
    return Hold(
        entity_id=wish.target.id,
        state=state,
        owner=HoldOwner.VENDOR,
        reason=f"made by {made_by}" if made_by else "it was so before",
    )


def _answers(context: RunContext, node: Node, target_id: str) -> tuple[frozenset[str], str]:
    """Give the codes that people have agreed to for exactly this target, or their refusal."""
    approved: set[str] = set()
    refusal = ""
    for approval in context.approvals:
        asked = approval.target(target_id) if approval.step_key == node.key else None
        if asked is None:
            continue
        if approval.state is Answer.APPROVED:
            approved.update(reason.code for reason in asked.reasons)
        elif approval.state is Answer.DENIED:
            refusal = f"{approval.answered_by} said no"
        elif approval.state is Answer.EXPIRED:
            refusal = "nobody answered in time"
        elif approval.state is Answer.WITHDRAWN:
            refusal = "the question was withdrawn"
    return frozenset(approved), refusal


def _first_name(target: Target) -> str:
    names: list[Any] = [alias.value for alias in target.aliases]
    return str(names[0]) if names else target.id
