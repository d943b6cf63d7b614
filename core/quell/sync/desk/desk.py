"""Writes to incidents for actions: into the journal first, then through the one writer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, get_type_hints

import msgspec

from quell.domain.hub import (
    Acceptance,
    Bounds,
    Copy,
    Hub,
    HubComment,
    IncidentWrite,
    Mark,
    RevisionDraft,
    Step,
    WriteKind,
    WriteState,
    changed_fields,
)
from quell.domain.ids import IncidentId, SourceId
from quell.domain.incident import IncidentFields, Origin
from quell.domain.outcome import Failed, Operation, Outcome, Pending, Succeeded
from quell.domain.playbook import IncidentEvent
from quell.journal import hubs, incident_writes, incidents
from quell.sync.absorb.absorb import events_of
from quell.sync.bench import Bench
from quell.sync.desk.writer import IncidentWriter
from quell.sync.plan import is_patient, new_write, plan
from quell.sync.remarks import short_digest
from quell.sync.rules import Rules

__all__ = ["Desk"]

#: how often an action asks whether its write has reached all copies
ASK_EVERY = timedelta(seconds=3)
#: canonical types by field name, for reading what a playbook gives
TYPES = get_type_hints(IncidentFields)


class Desk:
    """The `IncidentDesk` of one tenant."""

    def __init__(self, bench: Bench, writer: IncidentWriter) -> None:
        self._bench = bench
        self._journal = bench.journal
        self._tenant_id = bench.tenant_id
        self._writer = writer

    async def comment(
        self, incident_id: IncidentId, text: str, *, key: str, run_id: str | None
    ) -> Outcome:
        """Add a comment to every copy. Repeating it with the same key changes nothing."""
        hub = await self._hub(incident_id)
        if (refusal := _refusal(hub)) is not None:
            return refusal
        rules = await self._bench.rules()

        def decide(hub: Hub, now: datetime) -> Step:
            return _with_comment(hub, text, key, run_id, rules, now)

        await self._journal.commit(hubs.change(self._tenant_id, hub.id, decide))
        await self._writer.serve(hub.id)
        return await self.outcome(hub.id, key)

    async def update(
        self,
        incident_id: IncidentId,
        changes: Mapping[str, Any],
        *,
        key: str,
        run_id: str | None,
    ) -> Outcome:
        """Change canonical fields, on every copy. Repeating it with the same key changes nothing."""
        hub = await self._hub(incident_id)
        if (refusal := _refusal(hub)) is not None:
            return refusal
        try:
            values = {name: msgspec.convert(raw, TYPES[name]) for name, raw in changes.items()}
        except (KeyError, msgspec.ValidationError) as error:
            return Failed(reason=f"{', '.join(sorted(changes))}: {error}")
        if await self._journal.ask(incident_writes.find(self._tenant_id, _desk(key))) is None:
            rules = await self._bench.rules()

            def decide(hub: Hub, now: datetime) -> Step:
                return _with_changes(hub, values, key, run_id, rules, now)

            await self._journal.commit(hubs.change(self._tenant_id, hub.id, decide))
        await self._writer.serve(hub.id)
        return await self.outcome(hub.id, key)

    async def current(self, incident_id: IncidentId) -> IncidentFields:
        """Read the canonical fields as the journal has them now."""
        return (await self._hub(incident_id)).fields

    async def has_comment(self, incident_id: IncidentId, key: str) -> bool:
        """Tell whether the comment with that key is on record as written."""
        return isinstance(_comment_outcome(await self._hub(incident_id), key), Succeeded)

    async def outcome(self, incident_id: IncidentId, key: str) -> Outcome:
        """Tell what has become of an earlier comment or update with that key, on all copies."""
        hub = await self._hub(incident_id)
        if (of_comment := _comment_outcome(hub, key)) is not None:
            return of_comment
        row = await self._journal.ask(incident_writes.find(self._tenant_id, _desk(key)))
        if row is None:
            return Failed(reason="nothing was written with that key")
        return _update_outcome(hub, row, key)

    async def _hub(self, incident_id: IncidentId) -> Hub:
        winner = await self._journal.ask(incidents.resolve(self._tenant_id, incident_id))
        return await self._journal.ask(hubs.get(self._tenant_id, winner))


def _desk(key: str) -> str:
    return f"desk/{key}"


def _refusal(hub: Hub) -> Failed | None:
    if any(link.acceptance is Acceptance.PENDING and link.is_live for link in hub.links):
        return Failed(
            reason="copies of this incident differ and nobody has accepted that yet",
            remedy="See `quell sync drift`, then `quell sync accept`.",
        )
    return None


def _with_comment(
    hub: Hub, text: str, key: str, run_id: str | None, rules: Rules, now: datetime
) -> Step:
    if _find_comment(hub, key) is not None:
        return Step(hub=plan(hub, rules, now))
    comment = HubComment(
        id=short_digest(hub.tenant_id, hub.id, _desk(key)),
        origin_key=_desk(key),
        text=text,
        created_at=now,
        caused_by=run_id,
    )
    draft = RevisionDraft(
        origin=Origin.LIVE,
        events=(IncidentEvent.UPDATED, IncidentEvent.COMMENT_ADDED),
        changes={"comments": [[], [comment.id]]},
        happened_at=now,
        caused_by=run_id,
    )
    return Step(hub=plan(hub.with_comment(comment), rules, now), revision=draft)


def _with_changes(
    hub: Hub, values: Mapping[str, Any], key: str, run_id: str | None, rules: Rules, now: datetime
) -> Step:
    before = hub
    mark = Mark(bounds=Bounds(since=now), by=run_id or "")
    hub = hub.replace(
        fields=hub.fields.replace(values), marks={**hub.marks, **dict.fromkeys(values, mark)}
    )
    asked = new_write(
        hub,
        link=None,
        source_id=SourceId(""),
        kind=WriteKind.UPDATE,
        key=_desk(key),
        intended={name: msgspec.to_builtins(value) for name, value in values.items()},
        now=now,
        caused_by=run_id,
    )
    hub = hub.with_write(msgspec.structs.replace(asked, state=WriteState.APPLIED))
    changes = dict(changed_fields(before.fields, hub.fields))
    draft = RevisionDraft(
        origin=Origin.LIVE,
        events=events_of(changes, is_first=False),
        changes=changes,
        happened_at=now,
        caused_by=run_id,
    )
    planned = plan(hub, rules, now, caused_by=run_id)
    return Step(hub=planned, revision=draft if changes else None)


def _find_comment(hub: Hub, key: str) -> HubComment | None:
    return next((one for one in hub.comments if one.origin_key == _desk(key)), None)


def _comment_outcome(hub: Hub, key: str) -> Outcome | None:
    """Tell what has become of a comment; None when there is none with that key."""
    comment = _find_comment(hub, key)
    if comment is None:
        return None
    writes = [one for one in hub.writes if _is_of(one, comment)]
    wanted = [link for link in hub.links if link.is_live]
    missing = [link.id for link in wanted if not _is_there(comment.copy_in(link.id))]
    if not wanted:
        return Failed(reason="there is no copy of the incident to write to")
    waiting = {one.link_id for one in writes if _is_left_to_others(one)}
    done = [copy.native_key for copy in comment.copies if copy.native_key is not None]
    if done and waiting.issuperset(missing):
        return Succeeded(proof=done[0])
    return _unfinished(writes, key)


def _is_of(write: IncidentWrite, comment: HubComment) -> bool:
    named = {str(entry[0]) for entry in write.intended.get("entries", ())}
    return write.intended.get("comment") == comment.id or comment.id in named


def _is_left_to_others(write: IncidentWrite) -> bool:
    """Tell whether the vendor's own connector is to do it first: nobody has to wait for that."""
    return write.state is WriteState.PLANNED and is_patient(write)


def _is_there(copies: tuple[Copy, ...]) -> bool:
    return bool(copies) and all(copy.native_key is not None for copy in copies)


def _update_outcome(hub: Hub, row: IncidentWrite, key: str) -> Outcome:
    names = set(row.intended)
    writes = [
        one
        for one in hub.writes
        if one.kind is WriteKind.UPDATE
        and one.link_id is not None
        and names & set(one.intended)
        and not _is_left_to_others(one)
    ]
    return _unfinished(writes, key) if writes else Succeeded(proof=row.id)


def _unfinished(writes: list[IncidentWrite], key: str) -> Outcome:
    refused = [one for one in writes if one.state is WriteState.PARKED]
    if refused:
        places = ", ".join(sorted({one.source_id for one in refused}))
        return Failed(reason=f"refused by {places}: {refused[0].error}")
    return Pending(operation=Operation(id=key, poll_every=ASK_EVERY))
