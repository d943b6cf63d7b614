"""Two model products in memory that forget nothing: what sync is tested against without a network.

One detects, without version tokens; the other mirrors, with them, and cannot hold everything.
Each can be told to fail, to lag, or to lose the answer to a write that it has made.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from quell.domain.fields import SHARED, FieldRule
from quell.domain.ids import SourceId
from quell.domain.incident import (
    Alert,
    Classification,
    Comment,
    Determination,
    IncidentFields,
    Owner,
    Severity,
    Status,
    Task,
    Verdict,
)
from quell.domain.ports import Detail, NewIncident, ObservedIncident, PolledPage
from quell.errors import AnswerNotFound, ConnectorError, RequestRefused, WriteConflict

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WRITES = {"create", "update", "comment", "edit_comment"}
FIELDS: tuple[str, ...] = SHARED


class ManualClock:
    """Time that passes when it is told to, and a little with every look at it."""

    def __init__(self) -> None:
        self._now = START

    def now(self) -> datetime:
        self._now += timedelta(milliseconds=1)
        return self._now

    def advance(self, **spans: float) -> None:
        self._now += timedelta(**spans)

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds=seconds)


@dataclass
class Record:
    """One incident inside a model product."""

    native: dict[str, Any]
    created: datetime
    changed: datetime
    version: int = 1
    comments: list[Comment] = field(default_factory=list[Comment])
    alerts: list[Alert] = field(default_factory=list[Alert])
    tasks: dict[str, Task] = field(default_factory=dict[str, Task])
    merged_into: str | None = None
    counterpart: tuple[str, str] | None = None
    proofs: frozenset[str] = frozenset()
    created_for: str | None = None
    by: str = ""


class ModelSource:
    """What both model products have in common."""

    system = "model"
    can_create = False
    writable = frozenset(FIELDS)
    comment_limit = 1000
    comments_at_most = 100
    edits_comments = False
    tasks_at_most = 40
    carried: frozenset[str] = frozenset()
    fields: Mapping[str, FieldRule] = {}
    poll_every = 30.0
    sweep_every = 21_600.0
    sweep_back = timedelta(days=3)
    has_etags = False
    #: whether everything that is read says how many alerts and comments there are
    tells_counts = False

    def __init__(self, clock: ManualClock, source_id: str) -> None:
        self.clock = clock
        self.source_id = SourceId(source_id)
        self.records: dict[str, Record] = {}
        #: raised, one by one, before the next calls of that name do anything
        self.refusals: dict[str, list[ConnectorError]] = {}
        #: raised, one by one, after the next calls of that name have taken effect
        self.silences: dict[str, list[ConnectorError]] = {}
        #: given instead of what is there now
        self.lagging: dict[str, ObservedIncident] = {}
        self.poisoned: dict[str, ConnectorError] = {}
        self.calls: list[str] = []
        self.page_size = 3
        self.numbers = itertools.count()
        #: told of every call that writes, before and after it takes effect
        self.witness: Callable[[str], None] = lambda moment: None
        #: run between a read and the write that follows it
        self.meanwhile: list[Any] = []

    # -- what people do ----------------------------------------------------------------------

    def add(self, native_id: str, **fields: Any) -> Record:
        now = self.clock.now()
        blank = IncidentFields(status=Status.NEW, severity=Severity.LOW, title=native_id)
        native = self.to_native(blank.replace(fields))
        record = Record(native=native, created=now, changed=now)
        record.proofs = frozenset({f"{self.system}:{native_id}"})
        self.records[native_id] = record
        return record

    def edit(self, native_id: str, **fields: Any) -> None:
        record = self.records[native_id]
        raw = self.to_native(self.to_fields(record.native).replace(fields))
        record.native.update({name: raw[name] for name in fields})
        self.touch(record, by="somebody")

    def say(self, native_id: str, text: str, author: str = "Ada") -> None:
        record = self.records[native_id]
        record.comments.append(
            Comment(
                key=f"{self.source_id}-{next(self.numbers)}",
                text=text,
                author=author,
                created=self.clock.now(),
            )
        )
        self.touch(record)

    def set_task(self, native_id: str, key: str, title: str, *, is_done: bool = False) -> None:
        record = self.records[native_id]
        record.tasks[key] = Task(key=key, title=title, is_done=is_done)
        self.touch(record)

    def tasks_of(self, native_id: str) -> dict[str, bool]:
        return {task.title: task.is_done for task in self.records[native_id].tasks.values()}

    def raise_alert(self, native_id: str, alert: Alert) -> None:
        record = self.records[native_id]
        record.alerts.append(alert)
        self.touch(record)

    def merge(self, loser: str, winner: str) -> None:
        self.records[loser].merged_into = winner
        self.records[winner].alerts += self.records[loser].alerts
        self.records[loser].alerts = []
        self.touch(self.records[loser])
        self.touch(self.records[winner])

    def touch(self, record: Record, by: str = "") -> None:
        record.changed = self.clock.now()
        record.version += 1
        record.by = by

    def fields_of(self, native_id: str) -> IncidentFields:
        return self.to_fields(self.records[native_id].native)

    def texts_of(self, native_id: str) -> list[str]:
        return [comment.text for comment in self.records[native_id].comments]

    # -- the port ----------------------------------------------------------------------------

    async def poll(self, cursor: str | None) -> AsyncIterator[PolledPage]:
        self._enter("poll")
        since = datetime.fromisoformat(cursor) if cursor else START - timedelta(days=30)
        changed = sorted(
            (item for item in self.records.items() if item[1].changed >= since),
            key=lambda item: item[1].changed,
        )
        last = cursor or since.isoformat()
        for start in range(0, len(changed), self.page_size):
            page = changed[start : start + self.page_size]
            last = page[-1][1].changed.isoformat()
            seen = tuple(self.observed(native_id, is_whole=False) for native_id, _ in page)
            yield PolledPage(incidents=seen, cursor=last)
        if not changed:
            yield PolledPage(incidents=(), cursor=last)

    async def sweep(
        self, since: datetime, *, until: datetime | None = None, cursor: str | None = None
    ) -> AsyncIterator[PolledPage]:
        self._enter("sweep")
        begin = datetime.fromisoformat(cursor) if cursor else since
        async for page in self.poll(begin.isoformat()):
            kept = tuple(
                one
                for one in page.incidents
                if until is None or one.changed_at is None or one.changed_at <= until
            )
            yield msgspec.structs.replace(page, incidents=kept)

    async def count(self, since: datetime, until: datetime) -> int | None:
        return sum(since <= record.changed <= until for record in self.records.values())

    def reached(self, cursor: str | None) -> datetime | None:
        return datetime.fromisoformat(cursor) if cursor else None

    async def fetch_details(
        self, seen: ObservedIncident, parts: Collection[Detail]
    ) -> ObservedIncident:
        return await self.fetch(seen.native_id)

    async def put_task(self, native_id: str, task: Task, key: str) -> Task:
        self._enter("put_task")
        tasks = self.records[native_id].tasks
        name = task.key or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.source_id}/{key}"))
        made = msgspec.structs.replace(task, key=name, created_by="quell")
        self.records[native_id].tasks = {**tasks, name: made}
        self.touch(self.records[native_id], by="quell")
        self._leave("put_task")
        return made

    async def fetch(self, native_id: str, *, details: bool = True) -> ObservedIncident:
        self._enter("fetch")
        if native_id in self.poisoned:
            raise self.poisoned[native_id]
        if native_id not in self.records:
            raise AnswerNotFound(endpoint="GET model", status=404)
        return self.observed(native_id, is_whole=details)

    def observed(self, native_id: str, *, is_whole: bool = True) -> ObservedIncident:
        if native_id in self.lagging:
            return self.lagging[native_id]
        record = self.records[native_id]
        native = msgspec.json.decode(msgspec.json.encode(record.native))
        return ObservedIncident(
            source_id=self.source_id,
            native_id=native_id,
            native=native,
            fields=self.to_fields(native),
            etag=str(record.version) if self.has_etags else "",
            stamp=record.changed.isoformat(),
            changed_at=record.changed,
            created_at=record.created,
            changed_by=record.by,
            number=native_id,
            url=f"https://{self.system}.example/{native_id}",
            alerts=tuple(record.alerts) if is_whole else None,
            comments=tuple(record.comments) if is_whole else None,
            tasks=tuple(record.tasks.values()) if is_whole else None,
            alert_count=len(record.alerts) if self.tells_counts else None,
            comment_count=len(record.comments) if self.tells_counts else None,
            merged_into=record.merged_into,
            counterpart_system=record.counterpart[0] if record.counterpart else None,
            counterpart_id=record.counterpart[1] if record.counterpart else None,
            proofs=record.proofs,
            created_for=record.created_for,
        )

    def name_for(self, created_for: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.source_id}/{created_for}"))

    async def create(self, incident: NewIncident) -> ObservedIncident:
        self._enter("create")
        if incident.native_id not in self.records:
            now = self.clock.now()
            self.records[incident.native_id] = Record(
                native=self.to_native(incident.fields),
                created=now,
                changed=now,
                created_for=incident.created_for,
            )
        self._leave("create")
        return self.observed(incident.native_id)

    async def update(self, base: ObservedIncident, changes: Mapping[str, Any]) -> ObservedIncident:
        while self.meanwhile:
            self.meanwhile.pop(0)()
        self._enter("update")
        if base.native_id not in self.records:
            gone = WriteConflict if self.has_etags else AnswerNotFound
            raise gone(endpoint="PUT model", status=409 if self.has_etags else 404)
        record = self.records[base.native_id]
        if self.has_etags and base.etag != str(record.version):
            raise WriteConflict(endpoint="PUT model", status=409)
        record.native.update(changes)
        self.touch(record, by="quell")
        self._leave("update")
        return self.observed(base.native_id)

    async def comment(self, native_id: str, text: str, key: str) -> Comment:
        self._enter("comment")
        assert key in text
        assert len(text) <= self.comment_limit
        if len(self.records[native_id].comments) >= self.comments_at_most:
            raise RequestRefused(endpoint="POST model", status=400, problem="too many comments")
        self.say(native_id, text, author="quell")
        made = self.records[native_id].comments[-1]
        self._leave("comment")
        return made

    async def edit_comment(self, native_id: str, comment_key: str, text: str) -> Comment:
        self._enter("edit_comment")
        assert self.edits_comments
        assert len(text) <= self.comment_limit
        record = self.records[native_id]
        found = next(one for one in record.comments if one.key == comment_key)
        edited = msgspec.structs.replace(found, text=text)
        record.comments = [edited if one is found else one for one in record.comments]
        self.touch(record)
        self._leave("edit_comment")
        return edited

    async def find_comment(self, native_id: str, key: str) -> Comment | None:
        self._enter("find_comment")
        found = (one for one in self.records[native_id].comments if key in one.text)
        return next(found, None)

    def project(self, name: str, fields: IncidentFields, native: Mapping[str, Any]) -> Any:
        present = native.get(name)
        wanted = getattr(fields, name)
        if getattr(self.to_fields({**native, name: present}), name) == wanted:
            return present
        return self.to_native(fields)[name]

    # -- mapping, for each product its own -----------------------------------------------------

    def to_native(self, fields: IncidentFields) -> dict[str, Any]:
        raw: dict[str, Any] = msgspec.to_builtins(fields)
        raw["tags"] = sorted(fields.tags)
        return raw

    def to_fields(self, native: Mapping[str, Any]) -> IncidentFields:
        return msgspec.convert(dict(native), IncidentFields)

    def _enter(self, name: str) -> None:
        self.calls.append(name)
        if name in WRITES:
            self.witness(f"before {name}")
        if self.refusals.get(name):
            raise self.refusals[name].pop(0)

    def _leave(self, name: str) -> None:
        self.witness(f"after {name}")
        if self.silences.get(name):
            raise self.silences[name].pop(0)


class Detector(ModelSource):
    """Where incidents begin. No version tokens: the last writer wins."""

    system = "detector"


class Mirror(ModelSource):
    """Where copies are made: version tokens, no determinations, short texts, one owner name."""

    system = "mirror"
    can_create = True
    has_etags = True
    edits_comments = True

    def to_native(self, fields: IncidentFields) -> dict[str, Any]:
        raw = super().to_native(fields)
        raw["verdict"] = fields.verdict.classification.value if fields.verdict else None
        raw["description"] = (fields.description or "")[:50]
        raw["owner"] = {"who": fields.owner.label} if fields.owner else None
        return raw

    def to_fields(self, native: Mapping[str, Any]) -> IncidentFields:
        plain = dict(native)
        verdict, owner = plain.pop("verdict", None), plain.pop("owner", None)
        fields = msgspec.convert(plain, IncidentFields)
        read: dict[str, Any] = {
            "verdict": Verdict(classification=Classification(verdict)) if verdict else None,
            "owner": Owner(upn=owner["who"]) if owner else None,
        }
        return fields.replace(read)

    def project(self, name: str, fields: IncidentFields, native: Mapping[str, Any]) -> Any:
        if name in {"verdict", "description", "owner"}:
            return self.to_native(fields)[name]
        return super().project(name, fields, native)


def verdict(classification: str, determination: str = "unknown") -> Verdict:
    return Verdict(
        classification=Classification(classification), determination=Determination(determination)
    )
