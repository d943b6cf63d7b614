"""The actions on incidents that quell itself brings: a comment, and a change of fields."""

from __future__ import annotations

from typing import Any

import msgspec

from quell.domain.action import Action, Call, Effect, Target, action
from quell.domain.ids import IncidentId
from quell.domain.incident import Classification, Determination, Owner, Severity, Status, Verdict
from quell.domain.outcome import (
    Failed,
    Observation,
    Operation,
    Outcome,
    Pending,
    Succeeded,
    not_so,
    so,
)
from quell.domain.ports import IncidentDesk

__all__ = ["ACTIONS", "CommentParams", "UpdateParams", "comment", "update"]

SYSTEM = "quell"


class CommentParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What an incident is told."""

    #: plain text; it is shown as text, whatever it contains
    text: str


class UpdateParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which fields of an incident change; what is left out stays as it is."""

    #: one line, shown as text
    title: str | None = None
    #: shown as text
    description: str | None = None
    #: how serious it is
    severity: Severity | None = None
    #: where the work on it stands
    status: Status | None = None
    #: sign-in name or address; an empty text unassigns
    owner: str | None = None
    #: what it turned out to be
    classification: Classification | None = None
    #: the same more closely; what a product cannot hold stays on record here
    determination: Determination | None = None
    #: why it was closed
    closing_comment: str | None = None
    #: put on every copy, beside the tags that are there
    add_tags: list[str] = []
    #: taken off every copy
    remove_tags: list[str] = []


@action(
    "incident.comment",
    system=SYSTEM,
    effect=Effect.ANNOTATE,
    target=None,
    params=CommentParams,
    identity="sync",
    is_idempotent=True,
)
async def comment(call: Call[CommentParams], desk: IncidentDesk) -> Outcome:
    """Add a comment to every copy of the incident."""
    if call.incident_id is None:
        return Failed(reason="there is no incident to comment on")
    outcome = await desk.comment(
        call.incident_id, call.params.text, key=call.key, run_id=call.run_id
    )
    return _addressed(outcome, call.incident_id)


@action(
    "incident.update",
    system=SYSTEM,
    effect=Effect.ANNOTATE,
    target=None,
    params=UpdateParams,
    identity="sync",
    is_idempotent=True,
)
async def update(call: Call[UpdateParams], desk: IncidentDesk) -> Outcome:
    """Change severity, status, owner, verdict, tags or texts of the incident on every copy."""
    if call.incident_id is None:
        return Failed(reason="there is no incident to change")
    changes = await _changes(call.params, call.incident_id, desk)
    if not changes:
        return Failed(reason="no field was given to change")
    outcome = await desk.update(call.incident_id, changes, key=call.key, run_id=call.run_id)
    return _addressed(outcome, call.incident_id)


@comment.observe
async def observe_comment(target: Target, desk: IncidentDesk) -> Observation:
    """Tell whether the comment with our key is on every copy already."""
    key = str(target.facts.get("key", ""))
    if key and await desk.has_comment(IncidentId(target.id), key):
        return so(keys=(key,))
    return not_so()


@update.observe
async def observe_update(target: Target, desk: IncidentDesk) -> Observation:
    """Tell whether our change was made, and give the fields as they are for the before-image."""
    incident_id, key = IncidentId(target.id), str(target.facts.get("key", ""))
    facts = msgspec.to_builtins(await desk.current(incident_id))
    if key and isinstance(await desk.outcome(incident_id, key), Succeeded):
        return so(keys=(key,), facts=facts)
    return not_so(facts=facts)


@comment.poll
@update.poll
async def poll(operation: Operation, desk: IncidentDesk) -> Outcome:
    """Ask whether the write has reached every copy."""
    incident_id, _, key = operation.id.partition("|")
    return _addressed(await desk.outcome(IncidentId(incident_id), key), IncidentId(incident_id))


def _addressed(outcome: Outcome, incident_id: IncidentId) -> Outcome:
    """Let the operation say which incident it is about: that is all that `poll` is given."""
    if not isinstance(outcome, Pending):
        return outcome
    operation = outcome.operation
    named = msgspec.structs.replace(operation, id=f"{incident_id}|{operation.id}")
    return Pending(operation=named)


async def _changes(
    params: UpdateParams, incident_id: IncidentId, desk: IncidentDesk
) -> dict[str, Any]:
    names = ("title", "description", "severity", "status", "closing_comment")
    changes: dict[str, Any] = {
        name: value for name in names if (value := getattr(params, name)) is not None
    }
    if params.owner is not None:
        changes["owner"] = _owner(params.owner)
    if params.classification is not None:
        determination = params.determination or Determination.UNKNOWN
        changes["verdict"] = Verdict(
            classification=params.classification, determination=determination
        )
    if params.add_tags or params.remove_tags:
        tags = (await desk.current(incident_id)).tags
        changes["tags"] = (tags - frozenset(params.remove_tags)) | frozenset(params.add_tags)
    return changes


def _owner(text: str) -> Owner | None:
    if not text.strip():
        return None
    return Owner(upn=text) if "@" in text else Owner(name=text)


#: what the runtime adds to what plugins offer
ACTIONS: tuple[Action, ...] = (comment, update)
