"""The model products of `tests.sync_model`, made to happen at once with other things.

Every call is a moment at which somebody may edit, a call may fail or the process may die. What
changes a field is written into the ledger, with who did it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
from tests.soak.ledger import Change, Ledger
from tests.sync_model import FIELDS, START, Detector, ManualClock, Mirror, ModelSource, Record

from quell.domain.incident import Alert, Comment, IncidentFields, Task
from quell.domain.ports import NewIncident, ObservedIncident, PolledPage
from quell.errors import AnswerNotFound, ConnectorError, RequestRefused, WriteConflict

__all__ = ["LiveDetector", "LiveMirror", "LiveSource", "SkewedClock", "shown"]

#: how far back every list goes again, for what becomes visible late
OVERLAP = timedelta(minutes=15)
_least = Mirror(ManualClock(), "least")


def shown(name: str, fields: IncidentFields) -> str:
    """Give a value as the product that can hold least shows it."""
    return msgspec.json.encode(_least.to_native(fields)[name], order="sorted").decode()


class SkewedClock(ManualClock):
    """A product's own clock: it runs with ours and shows another time."""

    def __init__(self, clock: ManualClock, minutes: int) -> None:
        super().__init__()
        self._clock = clock
        self._skew = timedelta(minutes=minutes)

    def now(self) -> datetime:
        return self._clock.now() + self._skew


@dataclass
class Trouble:
    """A call that fails: before it does anything, or after."""

    call: str
    error: ConnectorError
    is_after: bool


@dataclass
class Hidden:
    """What the list goes on showing of an incident until it catches up; None for nothing."""

    until: datetime
    seen: ObservedIncident | None


@dataclass
class Surroundings:
    """What the products of one sequence share."""

    ledger: Ledger
    #: the true time: their own clocks are set wrong
    clock: ManualClock
    moment: Callable[[str], None] = field(default=lambda name: None)


def is_ours_to_touch(record: Record) -> bool:
    """Tell whether a copy belongs to an incident of the other product at all."""
    return not record.is_foreign if isinstance(record, MirrorRecord) else True


@dataclass
class MirrorRecord(Record):
    """A record that may be the mirror's own business."""

    is_foreign: bool = False


class LiveSource(ModelSource):
    """A model product in the middle of things."""

    def __init__(self, clock: ManualClock, source_id: str, around: Surroundings) -> None:
        super().__init__(clock, source_id)
        self.around = around
        self.troubles: list[Trouble] = []
        self.hidden: dict[str, Hidden] = {}
        #: deleted by hand, and known to have been read before
        self.deleted: dict[str, Record] = {}
        #: when an alert was last new or changed, by id
        self.alert_times: dict[str, datetime] = {}
        self.has_counts = False
        self.tells_news = False

    # -- written down ------------------------------------------------------------------------

    def write_down(self, native_id: str, names: Mapping[str, Any], by: str) -> None:
        fields = self.fields_of(native_id)
        for name in names:
            change = Change(
                seq=self.around.ledger.number(),
                source_id=self.source_id,
                native_id=native_id,
                field=name,
                shown=shown(name, fields),
                value=getattr(fields, name),
                by=by,
                at=self.around.clock.now(),
            )
            self.around.ledger.changes.append(change)

    def add(self, native_id: str, **fields: Any) -> Record:
        record = super().add(native_id, **fields)
        self.write_down(native_id, dict.fromkeys(FIELDS), "start")
        return record

    def put(self, native_id: str, fields: Mapping[str, Any], by: str) -> bool:
        """Change canonical fields as a person does; False where they were so already."""
        before = dict(self.records[native_id].native)
        self.edit(native_id, **fields)
        after = self.records[native_id].native
        changed = {name: None for name in fields if before.get(name) != after.get(name)}
        self.write_down(native_id, changed, by)
        return bool(changed)

    def raise_alert(self, native_id: str, alert: Alert) -> None:
        super().raise_alert(native_id, alert)
        self.alert_times[alert.id] = self.clock.now()

    # -- calls -------------------------------------------------------------------------------

    def _enter(self, name: str) -> None:
        self.calls.append(name)
        self.around.ledger.counts[f"calls: {name}"] += 1
        self.around.moment(f"before {self.source_id} {name}")
        self._fail(name, is_after=False)

    def _leave(self, name: str) -> None:
        self.around.moment(f"after {self.source_id} {name}")
        self._fail(name, is_after=True)

    def _fail(self, name: str, *, is_after: bool) -> None:
        for trouble in self.troubles:
            if trouble.call == name and trouble.is_after == is_after:
                self.troubles.remove(trouble)
                self.around.ledger.counts["faults"] += 1
                raise trouble.error

    async def poll(self, cursor: str | None) -> AsyncIterator[PolledPage]:
        self._enter("poll")
        newest = datetime.fromisoformat(cursor) if cursor else START - timedelta(days=30)
        since = newest - OVERLAP
        pages = self._pages(since)
        for page in pages:
            self.around.moment(f"page of {self.source_id}")
            stamps = [one.changed_at for one in page if one.changed_at]
            newest = max([newest, *stamps])
            yield PolledPage(incidents=tuple(page), cursor=newest.isoformat())
        if not pages:
            yield PolledPage(incidents=(), cursor=newest.isoformat())

    def _pages(self, since: datetime) -> list[list[ObservedIncident]]:
        seen = [self.listed(native_id, since) for native_id in self.records]
        changed = sorted(
            (one for one in seen if one is not None and one.changed_at and one.changed_at >= since),
            key=lambda one: (one.changed_at, one.native_id),
        )
        size = self.page_size
        return [changed[start : start + size] for start in range(0, len(changed), size)]

    def listed(self, native_id: str, since: datetime) -> ObservedIncident | None:
        """Give what the list shows of an incident, which may be late."""
        late = self.hidden.get(native_id)
        if late is not None and late.until > self.clock.now():
            return late.seen
        seen = self.observed(native_id, is_whole=False)
        record = self.records[native_id]
        if self.has_counts:
            counts = {"alert_count": len(record.alerts), "comment_count": len(record.comments)}
            seen = msgspec.structs.replace(seen, **counts)
        if self.tells_news:
            news = [one for one in record.alerts if self.alert_times[one.id] >= since]
            seen = msgspec.structs.replace(seen, news=tuple(news), news_since=since)
        return seen

    def hide(self, native_id: str, minutes: float, *, wholly: bool) -> None:
        """Let the list lag: it shows nothing of an incident, or what it was."""
        seen = None if wholly else self.observed(native_id, is_whole=False)
        until = self.clock.now() + timedelta(minutes=minutes)
        self.hidden[native_id] = Hidden(until=until, seen=seen)

    async def fetch(self, native_id: str, *, details: bool = True) -> ObservedIncident:
        self._enter("fetch")
        if native_id not in self.records:
            raise AnswerNotFound(endpoint="GET model", status=404)
        seen = self.observed(native_id, is_whole=details)
        self.around.moment(f"after {self.source_id} fetch")
        return seen

    async def create(self, incident: NewIncident) -> ObservedIncident:
        self._enter("create")
        is_new = incident.native_id not in self.records
        if incident.native_id in self.deleted:
            self.around.ledger.wrongs.append(f"{incident.native_id} was deleted and made again")
        if is_new:
            now = self.clock.now()
            self.records[incident.native_id] = MirrorRecord(
                native=self.to_native(incident.fields),
                created=now,
                changed=now,
                created_for=incident.created_for,
            )
            self.write_down(incident.native_id, dict.fromkeys(FIELDS), "quell")
        self._leave("create")
        return self.observed(incident.native_id)

    async def update(self, base: ObservedIncident, changes: Mapping[str, Any]) -> ObservedIncident:
        self._enter("update")
        record = self.records.get(base.native_id)
        if record is None:
            gone = WriteConflict if self.has_etags else AnswerNotFound
            raise gone(endpoint="PUT model", status=409 if self.has_etags else 404)
        self._check_base(base, record)
        self._judge(base, record, changes)
        moved = {name: raw for name, raw in changes.items() if record.native.get(name) != raw}
        record.native.update(changes)
        self.touch(record, by="quell")
        self.write_down(base.native_id, moved, "quell")
        self._leave("update")
        if base.native_id not in self.records:
            raise AnswerNotFound(endpoint="PUT model", status=404)
        return self.observed(base.native_id)

    def _check_base(self, base: ObservedIncident, record: Record) -> None:
        """Refuse a write that is not on top of what is there, where the product can tell."""

    def _judge(self, base: ObservedIncident, record: Record, changes: Mapping[str, Any]) -> None:
        ledger = self.around.ledger
        if all(base.native.get(name) == raw for name, raw in changes.items()):
            ledger.wrongs.append(
                f"{self.source_id} {base.native_id} is told again {sorted(changes)}"
            )
        if not is_ours_to_touch(record):
            ledger.wrongs.append(f"{self.source_id} {base.native_id} is not ours to write to")
        for name in changes:
            if record.native.get(name) != base.native.get(name):
                self._count_overwritten(base, name)

    def _count_overwritten(self, base: ObservedIncident, name: str) -> None:
        """Count what was changed between the read and the write, where no version tells of it."""
        ledger = self.around.ledger
        before = shown(name, base.fields)
        for change in reversed(ledger.of(self.source_id, base.native_id, name)):
            if change.shown == before:
                break
            ledger.exempt.add(change.seq)
            ledger.counts["exempt losses"] += 1

    async def comment(self, native_id: str, text: str, key: str) -> Comment:
        self._enter("comment")
        record = self.records.get(native_id)
        if record is None:
            raise AnswerNotFound(endpoint="POST model", status=404)
        if len(record.comments) >= self.comments_at_most:
            raise RequestRefused(endpoint="POST model", status=400)
        if not is_ours_to_touch(record):
            self.around.ledger.wrongs.append(f"{native_id} is foreign and was commented on")
        assert key in text
        assert len(text) <= self.comment_limit
        self.say(native_id, text, author="quell")
        made = record.comments[-1]
        self._leave("comment")
        return made

    async def edit_comment(self, native_id: str, comment_key: str, text: str) -> Comment:
        if native_id not in self.records:
            self._enter("edit_comment")
            raise AnswerNotFound(endpoint="PUT model", status=404)
        known = {one.key: one.text for one in self.records[native_id].comments}
        if known.get(comment_key) == text:
            self.around.ledger.wrongs.append(f"{native_id}: a comment is told again")
        return await super().edit_comment(native_id, comment_key, text)

    async def put_task(self, native_id: str, task: Task, key: str) -> Task:
        record = self.records.get(native_id)
        if record is None:
            self._enter("put_task")
            raise AnswerNotFound(endpoint="PUT model", status=404)
        if not is_ours_to_touch(record):
            self.around.ledger.wrongs.append(f"{native_id} is foreign and was given a task")
        assert len(record.tasks) < self.tasks_at_most or task.key in record.tasks
        return await super().put_task(native_id, task, key)

    async def find_comment(self, native_id: str, key: str) -> Comment | None:
        self._enter("find_comment")
        record = self.records.get(native_id)
        if record is None:
            raise AnswerNotFound(endpoint="GET model", status=404)
        return next((one for one in record.comments if key in one.text), None)


class LiveDetector(LiveSource, Detector):
    """Where incidents begin: it merges and moves alerts, and cannot tell who wrote last."""

    def merge(self, loser: str, winner: str) -> None:
        """Merge as correlation does: alerts and tags go to the winner."""
        super().merge(loser, winner)
        tags = self.fields_of(loser).tags | self.fields_of(winner).tags
        self.put(winner, {"tags": tags}, "product")


class LiveMirror(LiveSource, Mirror):
    """Where copies are made and may be deleted."""

    def add_foreign(self, native_id: str, **fields: Any) -> None:
        """Let the mirror have an incident of its own."""
        record = self.add(native_id, **fields)
        self.records[native_id] = MirrorRecord(
            native=record.native, created=record.created, changed=record.changed, is_foreign=True
        )

    def delete(self, native_id: str) -> None:
        """Delete a copy by hand."""
        self.deleted[native_id] = self.records.pop(native_id)

    def _check_base(self, base: ObservedIncident, record: Record) -> None:
        if base.etag != str(record.version):
            raise WriteConflict(endpoint="PUT model", status=409)
