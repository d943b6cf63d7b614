"""What people do in the two queues, act by act, and what they remember of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from tests.soak.acts import Act
from tests.soak.ledger import Change, Chore, Remark
from tests.soak.products import LiveMirror, LiveSource, shown

from quell.domain.ids import IncidentId, SourceId
from quell.domain.incident import (
    Alert,
    Classification,
    Comment,
    Determination,
    IncidentFields,
    Owner,
    Severity,
    Status,
    Verdict,
)
from quell.domain.outcome import Failed
from quell.journal import hubs, incidents, links

if TYPE_CHECKING:
    from tests.soak.stage import Stage

__all__ = ["DESK", "People"]

#: where a playbook's changes are written down
DESK = SourceId("desk")
NAMES = ("title", "description", "severity", "status", "owner", "verdict", "closing_comment")
SIZES = (10, 60, 700, 2500)


class People:
    """Everybody who works in either queue."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._ledger = stage.ledger
        self._acts: dict[str, Callable[[Act], bool]] = {
            "edit": self._edit,
            "tag": self._tag,
            "untag": self._untag,
            "say": self._say,
            "reword": self._reword,
            "add": self._add,
            "foreign": self._foreign,
            "alert": self._alert,
            "change alert": self._change_alert,
            "move alert": self._move_alert,
            "merge": self._merge,
            "delete": self._delete,
            "set task": self._set_task,
            "finish task": self._finish_task,
        }

    def act(self, act: Act) -> None:
        """Do one thing, where there is something to do it to."""
        doing = self._acts.get(act.kind)
        if doing is not None and doing(act):
            self._ledger.counts["edits"] += 1
            self._ledger.counts[f"edits: {act.kind}"] += 1

    # -- where ---------------------------------------------------------------------------------

    def _place(self, act: Act) -> tuple[LiveSource, str] | None:
        source = self._stage.sources[act.a % len(self._stage.sources)]
        ids = _open_to_people(source)
        return (source, ids[act.b % len(ids)]) if ids else None

    def _origins(self) -> list[str]:
        return _open_to_people(self._stage.origin)

    # -- fields --------------------------------------------------------------------------------

    def _edit(self, act: Act) -> bool:
        place = self._place(act)
        if place is None:
            return False
        source, native_id = place
        name = NAMES[act.c % len(NAMES)]
        value = self._value(name, act.d)
        is_changed = source.put(native_id, {name: value}, "person")
        if is_changed and self._is_as_read(source, native_id, name):
            self._ledger.unseen.add(self._ledger.changes[-1].seq)
        return is_changed

    def _is_as_read(self, source: LiveSource, native_id: str, name: str) -> bool:
        """Tell whether somebody put back, unnoticed, just what sync had read there last."""
        question = links.find(self._stage.tenant_id, source.source_id, native_id)
        link = self._stage.journal.ask_now(question)
        raw = source.observed(native_id).native.get(name)
        return link is not None and link.observed.native.get(name) == raw

    def _value(self, name: str, pick: int) -> Any:
        number = self._ledger.number()
        if name == "severity":
            return list(Severity)[pick % len(Severity)]
        if name == "status":
            return list(Status)[pick % len(Status)]
        if name == "owner":
            return None if pick % 6 == 0 else Owner(upn=f"person-{number}@example.com")
        if name == "verdict":
            return _verdict(pick)
        if name != "title" and pick % 6 == 0:
            return None
        return f"{name} {number} <b>&amp;</b> " + "long " * (pick % 3 * 12)

    def _tag(self, act: Act) -> bool:
        place = self._place(act)
        if place is None:
            return False
        source, native_id = place
        tag = f"tag-{self._ledger.number()}"
        return source.put(native_id, {"tags": source.fields_of(native_id).tags | {tag}}, "person")

    def _untag(self, act: Act) -> bool:
        place = self._place(act)
        if place is None:
            return False
        source, native_id = place
        tags = sorted(source.fields_of(native_id).tags)
        if not tags:
            return False
        kept = frozenset(tags) - {tags[act.c % len(tags)]}
        return source.put(native_id, {"tags": kept}, "person")

    # -- comments ------------------------------------------------------------------------------

    def _say(self, act: Act) -> bool:
        place = self._place(act)
        if place is None:
            return False
        source, native_id = place
        if len(source.records[native_id].comments) >= source.comments_at_most:
            return False
        mark = f"remark-{self._ledger.number()};"
        source.say(native_id, f"{mark} {'word ' * (SIZES[act.c % 4] // 5)}".strip())
        key = source.records[native_id].comments[-1].key
        remark = Remark(mark=mark, source_id=source.source_id, native_id=native_id, key=key)
        self._ledger.remarks.append(remark)
        return True

    def _reword(self, act: Act) -> bool:
        mine = [one for one in self._ledger.remarks if not one.is_ours]
        if not mine:
            return False
        remark = mine[act.b % len(mine)]
        source = next(one for one in self._stage.sources if one.source_id == remark.source_id)
        record = source.records.get(remark.native_id)
        # where incidents begin, comments cannot be edited
        if record is None or not isinstance(source, LiveMirror):
            return False
        mark = f"remark-{self._ledger.number()};"
        for place, comment in enumerate(record.comments):
            if comment.key == remark.key:
                record.comments[place] = Comment(
                    key=comment.key, text=mark, author=comment.author, created=comment.created
                )
        remark.earlier.append(remark.mark)
        remark.mark = mark
        source.touch(record)
        return True

    # -- incidents -----------------------------------------------------------------------------

    def _add(self, act: Act) -> bool:
        origin = self._stage.origin
        number = len(origin.records) + 1
        if len(self._origins()) >= 12:
            return False
        fields: dict[str, Any] = {"title": f"incident {number}"}
        if act.a % 2:
            fields["severity"] = list(Severity)[act.b % len(Severity)]
            fields["tags"] = frozenset({f"tag-{self._ledger.number()}"})
            fields["description"] = self._value("description", act.c)
            fields["verdict"] = _verdict(act.d)
        origin.add(str(number), **fields)
        if act.a % 3 == 0:
            self._raise(str(number))
        return True

    def _foreign(self, act: Act) -> bool:
        mirror = self._stage.mirrors[act.a % len(self._stage.mirrors)]
        # its number is one that the other product has as well
        native_id = str(1 + act.b % 6)
        if native_id in mirror.records:
            return False
        mirror.add_foreign(native_id, title="the mirror's own", description=f"{act.c}")
        return True

    def _delete(self, act: Act) -> bool:
        mirror = self._stage.mirrors[act.a % len(self._stage.mirrors)]
        known = [one for one in mirror.records if self._is_known(mirror, one)]
        if not known or len(mirror.deleted) >= 2:
            return False
        mirror.delete(known[act.b % len(known)])
        return True

    def _is_known(self, mirror: LiveMirror, native_id: str) -> bool:
        question = links.find(self._stage.tenant_id, mirror.source_id, native_id)
        return self._stage.journal.ask_now(question) is not None

    def _merge(self, act: Act) -> bool:
        ids = self._origins()
        if len(ids) < 2:
            return False
        loser = ids.pop(act.b % len(ids))
        winner = ids[act.c % len(ids)]
        self._stage.origin.merge(loser, winner)
        self._ledger.merges.append((loser, winner))
        return True

    # -- alerts --------------------------------------------------------------------------------

    def _raise(self, native_id: str) -> None:
        number = self._ledger.number()
        alert = Alert(id=f"alert-{number}.", title=f"title {number}", severity=Severity.MEDIUM)
        self._stage.origin.raise_alert(native_id, alert)

    def _alert(self, act: Act) -> bool:
        ids = self._origins()
        if not ids:
            return False
        self._raise(ids[act.b % len(ids)])
        return True

    def _with_alerts(self) -> list[str]:
        records = self._stage.origin.records
        return [one for one in self._origins() if records[one].alerts]

    def _change_alert(self, act: Act) -> bool:
        ids = self._with_alerts()
        if not ids:
            return False
        origin = self._stage.origin
        record = origin.records[ids[act.b % len(ids)]]
        place = act.c % len(record.alerts)
        title = f"title {self._ledger.number()}"
        record.alerts[place] = msgspec.structs.replace(record.alerts[place], title=title)
        origin.alert_times[record.alerts[place].id] = origin.clock.now()
        origin.touch(record)
        return True

    def _move_alert(self, act: Act) -> bool:
        ids = self._with_alerts()
        if not ids:
            return False
        origin = self._stage.origin
        start = ids[act.b % len(ids)]
        others = [one for one in self._origins() if one != start]
        if not others:
            return False
        alert = origin.records[start].alerts.pop(act.d % len(origin.records[start].alerts))
        origin.touch(origin.records[start])
        origin.raise_alert(others[act.c % len(others)], alert)
        return True

    # -- tasks ---------------------------------------------------------------------------------

    def _set_task(self, act: Act) -> bool:
        place = self._place(act)
        if place is None or place[0].tasks_at_most <= len(place[0].records[place[1]].tasks):
            return False
        source, native_id = place
        title = f"task-{self._ledger.number()}"
        source.set_task(native_id, title, title)
        chore = Chore(title=title, source_id=source.source_id, native_id=native_id)
        self._ledger.chores.append(chore)
        return True

    def _finish_task(self, act: Act) -> bool:
        place = self._place(act)
        if place is None or not place[0].records[place[1]].tasks:
            return False
        source, native_id = place
        tasks = source.records[native_id].tasks
        task = list(tasks.values())[act.c % len(tasks)]
        source.set_task(native_id, task.key, task.title, is_done=not task.is_done)
        return True

    # -- playbooks -----------------------------------------------------------------------------

    async def at_desk(self, act: Act) -> None:
        """Let a playbook write to an incident that is known."""
        listed = self._stage.journal.ask_now(incidents.listed(self._stage.tenant_id))
        known = [one for one in listed if self._has_begun(one.id)]
        if not known:
            return
        incident_id = sorted(known, key=lambda one: one.created_at)[act.b % len(known)].id
        number = self._ledger.number()
        desk = self._stage.sync.desk
        if act.kind == "ask desk":
            name = NAMES[act.c % len(NAMES)]
            value = self._value(name, act.d)
            raw = {name: msgspec.to_builtins(value)}
            before = await desk.current(incident_id)
            seq = self._ledger.number()
            outcome = await desk.update(incident_id, raw, key=f"key-{number}", run_id=None)
            if not isinstance(outcome, Failed) and getattr(before, name) != value:
                self._note_desk(seq, incident_id, name, value, shown(name, before))
                self._ledger.counts["edits"] += 1
            return
        mark = f"remark-{number};"
        outcome = await desk.comment(
            incident_id, f"{mark} from a playbook", key=f"key-{number}", run_id=None
        )
        if not isinstance(outcome, Failed):
            remark = Remark(mark=mark, source_id=DESK, native_id=incident_id, key="", is_ours=True)
            self._ledger.remarks.append(remark)
            self._ledger.counts["edits"] += 1

    def _has_begun(self, incident_id: IncidentId) -> bool:
        """Tell whether an incident is one of those that are kept in step."""
        hub = self._stage.journal.ask_now(hubs.get(self._stage.tenant_id, incident_id))
        return any(link.source_id == self._stage.origin.source_id for link in hub.links)

    def _note_desk(self, seq: int, incident_id: str, name: str, value: Any, known: str) -> None:
        change = Change(
            seq=seq,
            source_id=DESK,
            native_id=incident_id,
            field=name,
            shown=shown(name, IncidentFields().replace({name: value})),
            value=value,
            by="desk",
            known=known,
        )
        self._ledger.changes.append(change)


def _open_to_people(source: LiveSource) -> list[str]:
    """List the incidents that people can work on: one that was merged away is not shown."""
    return [key for key, record in source.records.items() if record.merged_into is None]


def _verdict(pick: int) -> Verdict:
    classes, finer = list(Classification), list(Determination)
    return Verdict(classification=classes[pick % 4], determination=finer[pick // 4 % len(finer)])
