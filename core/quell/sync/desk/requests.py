"""Sends one write to its product: look, write down, send, write down what came of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from quell.domain.hub import Hub, IncidentWrite, Link, Sighting, Step, WriteKind, WriteState
from quell.domain.ids import IncidentId
from quell.domain.incident import Alert, Origin, Task
from quell.domain.original import Original
from quell.domain.ports import Detail, NewIncident, ObservedIncident
from quell.errors import NotFoundError, RequestRefused, WriteConflict
from quell.journal import alerts, hubs
from quell.sync.absorb.absorb import is_stale
from quell.sync.bench import Bench, Decider
from quell.sync.desk.answers import answered, conflicted, is_shown, settled_by_look, without_stamp
from quell.sync.desk.confirm import confirmed, unversioned, wanted_keys
from quell.sync.desk.looks import Looks
from quell.sync.plan import is_patient, plan
from quell.sync.reading.clean import cleaned
from quell.sync.reading.details import missing_parts
from quell.sync.remarks import keys_in
from quell.sync.rules import Rules
from quell.sync.tasks import confirm_task

__all__ = ["LeaseLost", "NotWanted", "Requests"]


class LeaseLost(Exception):
    """Another worker serves the incident now; nothing was sent."""


class NotWanted(Exception):
    """The incident went on between the look and the request; nothing was sent."""


class Requests:
    """The requests to one incident's copies, while its lease is held."""

    def __init__(
        self,
        bench: Bench,
        rules: Rules,
        incident_id: IncidentId,
        fence: int,
        *,
        looks: Looks,
    ) -> None:
        self._bench = bench
        self._journal = bench.journal
        self._rules = rules
        self._incident_id = incident_id
        self._lease = (bench.worker, fence)
        self._looks = looks
        #: whether the present attempt has got as far as its request
        self.has_sent = False

    async def send(self, hub: Hub, write: IncidentWrite) -> int:
        """Send one write, if it is still wanted after a look. Gives how many were applied."""
        self.has_sent = False
        try:
            return await self._send(hub, write)
        except NotWanted:
            return 0

    async def _send(self, hub: Hub, write: IncidentWrite) -> int:
        if write.kind is WriteKind.CREATE:
            return await self._create(hub, write)
        link = hub.link(write.link_id)
        if link is None or write.source_id not in self._bench.sides:
            raise NotFoundError(what="source", name=write.source_id)
        if write.kind is WriteKind.COMMENT:
            return await self._comment(link, write)
        if write.kind is WriteKind.TASK:
            return await self._task(hub, link, write)
        return await self._update(link, write)

    # -- fields ----------------------------------------------------------------------------------

    async def _update(self, link: Link, write: IncidentWrite) -> int:
        if write.state is WriteState.PLANNED and link.etag:
            try:
                return await self._put(write)
            except WriteConflict:
                self.has_sent = False
                await self._change(lambda hub, now: Step(hub=conflicted(hub, write, now)))
        base = await self._look(link)
        wanted = await self._looked(link, write, base)
        return 0 if wanted is None else await self._put(wanted, base)

    async def _put(self, write: IncidentWrite, read: ObservedIncident | None = None) -> int:
        """Write fields on top of what was just read, or of what the journal saw last.

        The second needs a version token: it tells the product, and so us, when that is stale.
        """
        hub, sending = await self._mark(write, base=read.native if read else None)
        base = read or _observed(hub, sending)
        answer = cleaned(await self._bench.sides[base.source_id].update(base, sending.intended))
        rules = self._rules

        def decide(hub: Hub, now: datetime) -> Step:
            seen = Sighting(now=now, origin=Origin.LIVE)
            return answered(hub, sending, answer, rules, seen, is_guarded=bool(base.etag))

        await self._change(decide)
        return 1

    async def _look(self, link: Link, *, at_comments: bool = False) -> ObservedIncident:
        """Read a copy, with what else its version says to have changed: the next poll relies on it."""
        source = self._bench.sides[link.source_id]
        base = await source.fetch(link.native_id, details=False)
        parts = set[Detail]()
        if base.etag:
            is_copy = link.is_ours or link.counterpart_id is not None
            has_original = is_copy and self._bench.sides.is_mirror(link.source_id)
            parts |= missing_parts(link, base, has_original=has_original)
        if at_comments and base.comments is None:
            parts.add(Detail.COMMENTS)
        return cleaned(await source.fetch_details(base, parts) if parts else without_stamp(base))

    async def _looked(
        self, link: Link, write: IncidentWrite, base: ObservedIncident
    ) -> IncidentWrite | None:
        """Take in what the copy says now; gives the write if it is still to be sent."""
        await self._journal.commit(hubs.store(Decider(self._rules), [base], origin=Origin.LIVE))
        hub = await self._journal.ask(hubs.get(self._bench.tenant_id, self._incident_id))
        found = _find(hub, write.id)
        if found is None or found.state is WriteState.PLANNED:
            return found
        if found.state is not WriteState.SENDING or is_stale(link, base):
            return None
        rules = self._rules

        def decide(hub: Hub, now: datetime) -> Step:
            return Step(hub=plan(settled_by_look(hub, found, base.native), rules, now))

        hub = await self._change(decide)
        again = _find(hub, write.id)
        return again if again is not None and again.state is WriteState.PLANNED else None

    # -- comments --------------------------------------------------------------------------------

    async def _comment(self, link: Link, write: IncidentWrite) -> int:
        if "not_shown" in write.intended:
            raise _no_room(write)
        source = self._bench.sides[link.source_id]
        key, host = str(write.intended["key"]), str(write.intended.get("host", ""))
        if write.state is WriteState.SENDING and not host:
            # it may have arrived: asked for before it is sent again
            found = await source.find_comment(link.native_id, key)
            if found is not None and wanted_keys(write) <= keys_in(found.text):
                await self._confirm(link, write, found.key)
                return 1
        elif is_patient(write):
            # the vendor's own connector may have copied it by now
            base = await self._look(link, at_comments=True)
            if await self._looked(link, write, base) is None:
                return 0
        await self._mark(write)
        text = str(write.intended["text"])
        if host:
            comment = await source.edit_comment(link.native_id, host, text)
        else:
            comment = await source.comment(link.native_id, text, key)
        await self._confirm(link, write, comment.key)
        return 1

    async def _confirm(self, link: Link, write: IncidentWrite, native_key: str) -> None:
        rules = self._rules

        def decide(hub: Hub, now: datetime) -> Step:
            hub = confirmed(hub, link, write, native_key)
            # the next ones wait for this one where several share a comment
            return Step(hub=plan(hub, rules, now) if "entries" in write.intended else hub)

        await self._change(decide)

    # -- tasks -----------------------------------------------------------------------------------

    async def _task(self, hub: Hub, link: Link, write: IncidentWrite) -> int:
        """Make or change a task. Its id follows from the key: twice is once."""
        source = self._bench.sides[link.source_id]
        known = next((one for one in hub.tasks if one.id == write.intended["task"]), None)
        copy = known.copies.get(link.id) if known else None
        await self._mark(write)
        task = Task(
            key=copy.native_key if copy else "",
            title=str(write.intended["title"]),
            description=str(write.intended["description"]),
            is_done=bool(write.intended["is_done"]),
        )
        made = await source.put_task(link.native_id, task, str(write.intended["key"]))
        rules = self._rules

        def decide(hub: Hub, now: datetime) -> Step:
            found = _find(hub, write.id)
            hub = unversioned(hub, link.id)
            return Step(hub=plan(confirm_task(hub, found, made), rules, now) if found else hub)

        await self._change(decide)
        return 1

    # -- copies ----------------------------------------------------------------------------------

    async def _create(self, hub: Hub, write: IncidentWrite) -> int:
        source = self._bench.sides[write.source_id]
        if self._rules.modes.get(write.source_id) == "overlay":
            await self._looks.fresh(write.source_id)
            hub = await self._journal.ask(hubs.get(self._bench.tenant_id, self._incident_id))
            found = _find(hub, write.id)
            if found is None or not found.is_open:
                return 0
        created_for = str(write.intended["created_for"])
        native_id = source.name_for(created_for)
        carried = await self._journal.ask(alerts.of(self._bench.tenant_id, self._incident_id))
        fields = msgspec.to_builtins(hub.fields)
        await self._mark(write, base=fields, intended={**write.intended, "native_id": native_id})
        answer = await source.create(_new_incident(hub, native_id, created_for, carried))
        seen = cleaned(msgspec.structs.replace(answer, created_for=created_for))
        await self._journal.commit(hubs.store(Decider(self._rules), [seen], origin=Origin.LIVE))
        return 1

    # -- the journal -----------------------------------------------------------------------------

    async def _mark(
        self,
        write: IncidentWrite,
        *,
        base: dict[str, Any] | None = None,
        intended: dict[str, Any] | None = None,
    ) -> tuple[Hub, IncidentWrite]:
        """Write down that a request leaves now, and on top of what. Raises LeaseLost or NotWanted.

        Without a base that was just read, what the journal last saw of the copy is the base.
        """
        sending = msgspec.structs.replace(
            write,
            state=WriteState.SENDING,
            base=base,
            intended=intended or write.intended,
            not_before=None,
        )

        def decide(hub: Hub, now: datetime) -> Step:
            found = _find(hub, write.id)
            if found is None or not found.is_open or found.intended != write.intended:
                return Step(hub=hub)
            marked = _based(hub, sending)
            if write.kind.is_of_fields and is_shown(marked, marked.base or {}):
                # somebody has done it by themselves: nobody is told again
                return Step(hub=settled_by_look(hub, marked, marked.base or {}))
            return Step(hub=hub.with_write(marked))

        hub = await self._change(decide)
        marked = _find(hub, write.id)
        if marked is None or msgspec.structs.replace(marked, base=base) != sending:
            raise NotWanted
        self.has_sent = True
        return hub, marked

    async def _change(self, decide: Callable[[Hub, datetime], Step]) -> Hub:
        hub = await self._journal.commit(
            hubs.change(self._bench.tenant_id, self._incident_id, decide, lease=self._lease)
        )
        if hub is None:
            raise LeaseLost
        return hub


def _no_room(write: IncidentWrite) -> RequestRefused:
    count, where = write.intended["not_shown"], ", ".join(write.intended["where"])
    return RequestRefused(
        endpoint="comments",
        problem=f"there is no room for {count} more comments",
        remedy=f"They are kept, and can be read where they were written: {where or 'here'}.",
    )


def _based(hub: Hub, write: IncidentWrite) -> IncidentWrite:
    # a write of fields is journalled with what it is written on top of
    link = hub.link(write.link_id)
    if link is None or write.base is not None or not write.kind.is_of_fields:
        return write
    return msgspec.structs.replace(write, base=link.observed.native)


def _observed(hub: Hub, write: IncidentWrite) -> ObservedIncident:
    """Give the copy as the journal last saw it, with the version token that goes with that."""
    link = hub.link(write.link_id)
    if link is None:
        raise NotWanted
    return ObservedIncident(
        source_id=link.source_id,
        native_id=link.native_id,
        native=link.observed.native,
        fields=link.observed.fields,
        etag=link.etag,
        stamp=link.stamp,
        changed_at=link.changed_at,
    )


def _find(hub: Hub, write_id: str) -> IncidentWrite | None:
    return next((write for write in hub.writes if write.id == write_id), None)


def _new_incident(hub: Hub, native_id: str, created_for: str, carried: list[Alert]) -> NewIncident:
    original = Original.read(created_for)
    origin = hub.link_at(original.source_id, original.native_id) if original else None
    moments = sorted(alert.created for alert in carried if alert.created)
    first, last = hub.fields.first_activity, hub.fields.last_activity
    return NewIncident(
        native_id=native_id,
        created_for=created_for,
        fields=hub.fields,
        original_url=origin.url if origin else "",
        alerts=tuple(carried),
        first_activity=first.isoformat() if first else next(iter(moments), None),
        last_activity=last.isoformat() if last else next(reversed(moments), None),
    )
