"""What must be so once everything is quiet, told from what the model products wrote down.

It asks the journal only which copy belongs to which incident, and what is on record.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import msgspec
from tests.soak.ledger import Change, Chore, Remark
from tests.soak.people import DESK
from tests.soak.products import LiveMirror, LiveSource, MirrorRecord, shown
from tests.soak.stage import Stage
from tests.sync_model import FIELDS

from quell.domain.hub import Acceptance, Hub, Link, WriteState
from quell.domain.ids import IncidentId, SourceId
from quell.domain.incident import Determination, IncidentFields, Status
from quell.journal import alerts, conflicts, hubs, incidents, links
from quell.journal.conflicts import ConflictRow

__all__ = ["Oracle", "judge"]

#: calls that change something at a product
WRITES = {"create", "update", "comment", "edit_comment", "put_task"}


async def judge(stage: Stage) -> list[str]:
    """Let everything come to rest and list all that is wrong, in a sentence each."""
    await stage.settle()
    oracle = Oracle(stage)
    wrongs = [*stage.ledger.wrongs, *oracle.wrongs()]
    stage.ledger.counts["conflicts"] += len(oracle.on_record)
    return [*wrongs, *await _noise(stage)]


async def _noise(stage: Stage) -> list[str]:
    """List what further passes still write, the same day and the day after."""
    said: list[str] = []
    for days in (0, 1):
        stage.clock.advance(days=days)
        for source in stage.sources:
            source.calls.clear()
        await stage.sync.pass_once()
        for source in stage.sources:
            writes = [call for call in source.calls if call in WRITES]
            said += [f"a further pass ({days} days later): {source.source_id} {writes}"] * bool(
                writes
            )
    return said


class Oracle:
    """Everything about one sequence after its end."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._ledger = stage.ledger
        self._sources = {source.source_id: source for source in stage.sources}

    def wrongs(self) -> Iterator[str]:
        """List all that is wrong."""
        for hub in self.hubs:
            yield from self._apart(hub)
            yield from self._misplaced(hub)
        yield from self._lost_values()
        yield from self._lost_tags()
        yield from self._lost_remarks()
        yield from self._lost_alerts()
        yield from self._lost_chores()
        yield from self._undecided()
        yield from self._unmerged()

    # -- what is known -------------------------------------------------------------------------

    @cached_property
    def hubs(self) -> list[Hub]:
        """List the incidents that stand for themselves."""
        ask, tenant = self._stage.journal.ask_now, self._stage.tenant_id
        return [ask(hubs.get(tenant, row.id)) for row in ask(incidents.listed(tenant, limit=1000))]

    @cached_property
    def on_record(self) -> list[ConflictRow]:
        """List all conflicts."""
        return self._stage.journal.ask_now(conflicts.listed(self._stage.tenant_id, limit=100_000))

    def _link(self, source_id: SourceId, native_id: str) -> Link | None:
        return self._stage.journal.ask_now(links.find(self._stage.tenant_id, source_id, native_id))

    def _incident(self, change: Change | Chore | Remark) -> str | None:
        """Tell which incident a change or remark belonged to, whatever became of it."""
        if change.source_id == DESK:
            return change.native_id
        link = self._link(change.source_id, change.native_id)
        return link.incident_id if link else None

    def _end(self, incident_id: str) -> Hub:
        ask, tenant = self._stage.journal.ask_now, self._stage.tenant_id
        return ask(hubs.get(tenant, ask(incidents.resolve(tenant, IncidentId(incident_id)))))

    def _live(self, hub: Hub) -> list[tuple[Link, LiveSource]]:
        """List the copies of an incident that take part and are there."""
        return [
            (link, self._sources[link.source_id])
            for link in hub.links
            if link.is_live and link.native_id in self._sources[link.source_id].records
        ]

    # -- both sides agree ----------------------------------------------------------------------

    def _apart(self, hub: Hub) -> Iterator[str]:
        live = self._live(hub)
        for link, source in live[1:]:
            first, other = (
                live[0][1].fields_of(live[0][0].native_id),
                source.fields_of(link.native_id),
            )
            for name in FIELDS:
                if shown(name, first) != shown(name, other):
                    yield (
                        f"{name} of {_names(hub)} is apart: "
                        f"{shown(name, first)} and {shown(name, other)}"
                    )

    def _misplaced(self, hub: Hub) -> Iterator[str]:
        """List copies that are missing, too many, or should be closed."""
        begun = any(link.source_id == "origin" and link.is_live for link in hub.links)
        for mirror in self._stage.mirrors:
            there = [one for one in hub.links if one.source_id == mirror.source_id]
            live = [one for one in there if one.is_live and one.native_id in mirror.records]
            gone = any(one.deleted_at or one.native_id in mirror.deleted for one in there)
            if begun and len(live) != 1 and not (gone and not live):
                yield f"{_names(hub)} has {len(live)} copies in {mirror.source_id}"
            for one in there:
                if one.retired_to and one.native_id in mirror.records:
                    status = mirror.fields_of(one.native_id).status
                    if status is not Status.CLOSED and not self._is_reopened(one):
                        yield f"the retired copy {one.native_id} is {status}"
        if any(one.acceptance is Acceptance.PENDING for one in hub.links if one.is_live):
            yield f"{_names(hub)} still waits for somebody to accept it"

    # -- nothing is lost -----------------------------------------------------------------------

    def _lost_values(self) -> Iterator[str]:
        """List values that sync wrote over, without their being shown elsewhere or on record."""
        for change in self._ledger.changes:
            if change.by not in {"person", "start", "desk"} or change.field == "tags":
                continue
            after = self._overwritten_by(change)
            if after is None or change.seq in self._ledger.exempt | self._ledger.unseen:
                continue
            if self._was_shown(change, after.seq) or self._is_on_record(change):
                continue
            if change.field == "status" and self._is_closed_for_good(change):
                continue
            if self._is_a_playbooks(change, after) or _is_refined(change, after):
                continue
            if self._was_agreed(change, after):
                continue
            yield f"lost without a word: {change} by {after.shown} (at {after.seq})"

    def _overwritten_by(self, change: Change) -> Change | None:
        """Give the write of sync that replaced a value; None where there is none."""
        history = self._ledger.of(change.source_id, change.native_id, change.field)
        later = [one for one in history if one.seq > change.seq]
        if change.by == "desk":
            return None if later else self._contrary_to_desk(change)
        return later[0] if later and later[0].by == "quell" else None

    def _contrary_to_desk(self, change: Change) -> Change | None:
        """Give what stands in the end instead of what a playbook wrote last."""
        hub = self._end(change.native_id)
        if hub.id != change.native_id:
            return None  # it was merged away since: the winner keeps its own values
        for link, source in self._live(hub):
            now = shown(change.field, source.fields_of(link.native_id))
            if now != change.shown:
                return _standing(change, now)
        return None

    def _was_shown(self, change: Change, before: int) -> bool:
        """Tell whether another copy of the incident showed a value before it was replaced."""
        incident_id = self._incident(change)
        if incident_id is None:
            return False
        places = {(one.source_id, one.native_id) for one in self._all_links(incident_id)}
        return any(
            (one.source_id, one.native_id) in places
            and (one.source_id, one.native_id) != (change.source_id, change.native_id)
            and one.field == change.field
            and one.shown == change.shown
            and one.seq < before
            and self._until(one) > change.seq
            for one in self._ledger.changes
        )

    def _until(self, change: Change) -> int:
        history = self._ledger.of(change.source_id, change.native_id, change.field)
        return next((one.seq for one in history if one.seq > change.seq), 1 << 60)

    def _all_links(self, incident_id: str) -> tuple[Link, ...]:
        tenant = self._stage.tenant_id
        return self._stage.journal.ask_now(hubs.get(tenant, IncidentId(incident_id))).links

    def _was_agreed(self, change: Change, after: Change) -> bool:
        """Tell whether the incident said the same when somebody elsewhere changed just that."""
        incident_id = self._incident(change)
        if incident_id is None or change.at is None:
            return False
        question = incidents.revisions_of(self._stage.tenant_id, IncidentId(incident_id))
        return any(
            [_least(change.field, value) for value in revision.changes[change.field]]
            == [change.shown, after.shown]
            for revision in self._stage.journal.ask_now(question)
            if change.field in revision.changes
            and revision.at >= change.at
            and revision.source_id != change.source_id
        )

    def _is_on_record(self, change: Change) -> bool:
        incident_id = self._incident(change)
        return any(
            conflict.field == change.field and change.shown in _shown_in(conflict)
            for conflict in self.on_record
            if conflict.incident_id == incident_id
        )

    def _is_closed_for_good(self, change: Change) -> bool:
        """Tell whether a copy was closed because another one has taken its place."""
        link = self._link(change.source_id, change.native_id)
        if link is None:
            return False
        tenant = self._stage.tenant_id
        hub = self._stage.journal.ask_now(hubs.get(tenant, link.incident_id))
        return hub.merged_into is not None or link.retired_to is not None

    def _is_a_playbooks(self, change: Change, after: Change) -> bool:
        """Tell whether a playbook set another value later, knowing this one.

        That one stands now, is itself on record, or was replaced by a playbook that knew it.
        """
        return any(
            one.shown == after.shown or self._is_on_record(one) or self._is_a_playbooks(one, after)
            for one in self._ledger.changes
            if one.by == "desk"
            and one.seq > change.seq
            and (one.native_id, one.field) == (self._incident(change), change.field)
            and change.shown == one.known
        )

    def _lost_tags(self) -> Iterator[str]:
        """List tags that somebody put on and nobody took off, and the other way round."""
        added, removed, readable = self._tag_history()
        for tag, change in added.items():
            incident_id = self._incident(change)
            if incident_id is None or self._is_gone(change):
                continue
            hub = self._end(incident_id)
            for link, source in self._live(hub):
                has = tag in source.fields_of(link.native_id).tags
                if not has and tag not in removed:
                    yield f"{tag} is lost in {source.source_id} {link.native_id}"
                if has and tag in readable and hub.id == incident_id and not self._has_merged(hub):
                    yield f"{tag} has come back in {source.source_id} {link.native_id}"

    def _tag_history(self) -> tuple[dict[str, Change], set[str], set[str]]:
        """Give who put tags on, which were taken off, and which of these sync can know of.

        A copy may be deleted before anybody has read that a tag was taken off there.
        """
        added: dict[str, Change] = {}
        removed: set[str] = set()
        readable: set[str] = set()
        before: dict[tuple[str, str], frozenset[str]] = {}
        for change in self._ledger.changes:
            if change.field != "tags":
                continue
            place = (change.source_id, change.native_id)
            old = before.get(place, frozenset())
            before[place] = change.value
            if change.by not in {"person", "start"} or change.seq in self._ledger.exempt:
                continue
            added.update({tag: change for tag in change.value - old if tag not in added})
            removed |= old - change.value
            if not self._is_gone(change):
                readable |= old - change.value
        return added, removed, readable

    def _has_merged(self, hub: Hub) -> bool:
        ids = {link.native_id for link in hub.links}
        return any(ids & set(pair) for pair in self._ledger.merges)

    def _is_gone(self, change: Change | Chore | Remark) -> bool:
        """Tell whether the copy in which something was said was deleted, or is nobody's any more."""
        if change.source_id == DESK:
            return False
        source = self._sources[change.source_id]
        if change.native_id not in source.records:
            return True
        record = source.records[change.native_id]
        return isinstance(record, MirrorRecord) and record.is_foreign

    def _lost_remarks(self) -> Iterator[str]:
        """List remarks that a copy does not show exactly once."""
        for remark in self._ledger.remarks:
            incident_id = self._incident(remark)
            if incident_id is None:
                yield f"nobody knows where {remark} was said"
                continue
            hub = self._end(incident_id)
            for link, source in self._live(hub):
                texts = source.texts_of(link.native_id)
                if _is_full(hub, link):
                    continue
                count = sum(text.count(remark.mark) for text in texts)
                if count != 1 and not (count == 0 and self._is_gone(remark)):
                    yield f"{remark.mark} is {count} times in {link.source_id} {link.native_id}"
                for mark in remark.earlier:
                    if sum(text.count(mark) for text in texts) > 1:
                        yield f"{mark} is doubled in {link.source_id} {link.native_id}"

    def _lost_alerts(self) -> Iterator[str]:
        """List alerts that our copies were not told of, or that the journal has elsewhere."""
        origin = self._stage.origin
        for native_id, record in origin.records.items():
            link = self._link(origin.source_id, native_id)
            if link is None:
                yield f"{native_id} of the origin is not known"
                continue
            hub = self._end(link.incident_id)
            question = alerts.of(self._stage.tenant_id, hub.id)
            known = {alert.id for alert in self._stage.journal.ask_now(question)}
            for alert in record.alerts:
                if alert.id not in known:
                    yield f"{alert.id} of {native_id} is not on record"
                yield from self._untold(hub, alert.id)

    def _untold(self, hub: Hub, alert_id: str) -> Iterator[str]:
        for link, source in self._live(hub):
            if isinstance(source, LiveMirror) and link.is_ours and not _is_full(hub, link):
                texts = source.texts_of(link.native_id)
                if not any(alert_id in text for text in texts):
                    yield f"{alert_id} was not told to {source.source_id} {link.native_id}"

    def _lost_chores(self) -> Iterator[str]:
        """List tasks that a copy does not have exactly once, or not as the others have it."""
        for chore in self._ledger.chores:
            incident_id = self._incident(chore)
            if incident_id is None or self._is_gone(chore):
                continue
            states: set[bool] = set()
            for link, source in self._live(self._end(incident_id)):
                if not source.tasks_at_most:
                    continue
                tasks = source.records[link.native_id].tasks.values()
                found = [task.is_done for task in tasks if task.title == chore.title]
                states |= set(found)
                if len(found) != 1:
                    yield f"{chore.title} is {len(found)} times in {source.source_id} {link.native_id}"
            if len(states) > 1:
                yield f"{chore.title} of {chore.source_id} {chore.native_id} is done and is not"

    # -- what was decided ----------------------------------------------------------------------

    def _undecided(self) -> Iterator[str]:
        """List conflicts that were not decided as the policy says."""
        winner = self._stage.scene.winner
        for conflict in self.on_record:
            if conflict.kind != "both_changed":
                continue
            sides = conflict.body["sides"]
            systems = [side["system"] for side in sides]
            latest = max(side["since"] for side in sides)
            named = winner in systems and winner != "latest"
            won = conflict.body["won"]
            if named and won != winner:
                yield f"{won} won, and not {winner}: {conflict.body}"
            if not named and not any(
                side["since"] == latest and side["system"] == won for side in sides
            ):
                yield f"{won} won, and was not the latest: {conflict.body}"

    def _is_reopened(self, link: Link) -> bool:
        """Tell whether somebody has opened a closed copy again: that is their decision."""
        return _by_last(self._ledger.of(link.source_id, link.native_id, "status")) == "person"

    def _unmerged(self) -> Iterator[str]:
        """List merges after which two incidents are still two, or a copy of ours is still open."""
        origin = self._stage.origin
        for loser, winner in self._ledger.merges:
            lost, won = self._link(origin.source_id, loser), self._link(origin.source_id, winner)
            if lost is None or won is None:
                yield f"the merge of {loser} into {winner} is not known"
                continue
            if self._end(lost.incident_id).id != self._end(won.incident_id).id:
                yield f"{loser} was merged into {winner} and is not"
            for link in self._all_links(lost.incident_id):
                source = self._sources[link.source_id]
                if link.is_ours and link.native_id in source.records:
                    status = source.fields_of(link.native_id).status
                    if status is not Status.CLOSED and not self._is_reopened(link):
                        yield f"the copy {link.native_id} of the merged {loser} is {status}"


def _by_last(history: list[Change]) -> str:
    return history[-1].by if history else ""


def _is_full(hub: Hub, link: Link) -> bool:
    """Tell whether a copy has no room left, and whether that was said: a person is asked then."""
    return any(
        write.state is WriteState.PARKED and "not_shown" in write.intended
        for write in hub.writes
        if write.link_id == link.id
    )


def _names(hub: Hub) -> str:
    return ", ".join(f"{link.source_id} {link.native_id}" for link in hub.links)


def _standing(change: Change, now: str) -> Change:
    """Say what stands in a copy in the end, as a change that came last."""
    return Change(
        seq=1 << 60,
        source_id=change.source_id,
        native_id=change.native_id,
        field=change.field,
        shown=now,
        value=None,
        by="quell",
    )


def _is_refined(change: Change, after: Change) -> bool:
    """Tell whether a verdict got its determination: the classification is what somebody said."""
    if change.field != "verdict" or change.shown != after.shown or change.value is None:
        return False
    return change.value.determination is Determination.UNKNOWN


def _shown_in(conflict: ConflictRow) -> set[str]:
    """List the values that a conflict keeps, as the product that can hold least shows them."""
    body = conflict.body
    values = [side["value"] for side in body.get("sides", [])]
    return {_least(conflict.field, value) for value in values}


def _least(name: str, value: Any) -> str:
    fields = msgspec.convert({name: value} if value is not None else {}, IncidentFields)
    return shown(name, fields)
