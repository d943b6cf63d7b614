"""Sends one write to its product: look, write down, send, write down what came of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from quell.domain.hub import Hub, IncidentWrite, Link, Sighting, Step, WriteKind, WriteState
from quell.domain.ids import IncidentId, SourceId
from quell.domain.incident import Alert, Origin
from quell.domain.ports import NewIncident, ObservedIncident
from quell.errors import NotFoundError
from quell.journal import alerts, hubs
from quell.sync.absorb import is_stale
from quell.sync.answers import answered, settled_by_look
from quell.sync.bench import Bench, Decider
from quell.sync.clean import cleaned
from quell.sync.comments import confirm_copy
from quell.sync.plan import plan
from quell.sync.rules import Rules

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
        look: Callable[[SourceId], object],
    ) -> None:
        self._bench = bench
        self._journal = bench.journal
        self._rules = rules
        self._incident_id = incident_id
        self._lease = (bench.worker, fence)
        self._look = look
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
        return await self._update(link, write)

    # -- fields ----------------------------------------------------------------------------------

    async def _update(self, link: Link, write: IncidentWrite) -> int:
        source = self._bench.sides[link.source_id]
        base = cleaned(await source.fetch(link.native_id))
        wanted = await self._looked(link, write, base)
        if wanted is None:
            return 0
        sending = await self._mark(wanted, base=base.native)
        answer = cleaned(await source.update(base, sending.intended))
        rules = self._rules

        def decide(hub: Hub, now: datetime) -> Step:
            return answered(hub, sending, answer, rules, Sighting(now=now, origin=Origin.LIVE))

        await self._change(decide)
        return 1

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
        source = self._bench.sides[link.source_id]
        key = str(write.intended["key"])
        if write.state is WriteState.SENDING:
            # it may have arrived: asked for before it is sent again
            found = await source.find_comment(link.native_id, key)
            if found is not None:
                await self._confirm(link, write, found.key)
                return 1
        elif not link.is_ours:
            # the product may have copied it by itself
            base = cleaned(await source.fetch(link.native_id))
            if await self._looked(link, write, base) is None:
                return 0
        await self._mark(write)
        comment = await source.comment(link.native_id, str(write.intended["text"]), key)
        await self._confirm(link, write, comment.key)
        return 1

    async def _confirm(self, link: Link, write: IncidentWrite, native_key: str) -> None:
        comment_id, part = str(write.intended["comment"]), int(write.intended["part"])

        def decide(hub: Hub, now: datetime) -> Step:
            comment = next((one for one in hub.comments if one.id == comment_id), None)
            copies = comment.copy_in(link.id) if comment else ()
            copy = next((one for one in copies if one.part == part), None)
            if copy is None:
                found = _find(hub, write.id)
                done = found and msgspec.structs.replace(found, state=WriteState.APPLIED)
                return Step(hub=hub.with_write(done) if done else hub)
            return Step(hub=confirm_copy(hub, comment_id, copy, native_key=native_key))

        await self._change(decide)

    # -- copies ----------------------------------------------------------------------------------

    async def _create(self, hub: Hub, write: IncidentWrite) -> int:
        source = self._bench.sides[write.source_id]
        if self._rules.modes.get(write.source_id) == "overlay":
            await self._fresh_look(write.source_id)
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

    async def _fresh_look(self, source_id: SourceId) -> None:
        looking = self._look(source_id)
        if inspect.isawaitable(looking):
            await looking

    # -- the journal -----------------------------------------------------------------------------

    async def _mark(
        self,
        write: IncidentWrite,
        *,
        base: dict[str, Any] | None = None,
        intended: dict[str, Any] | None = None,
    ) -> IncidentWrite:
        """Write down that a request leaves now. Raises LeaseLost instead where it must not."""
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
            return Step(hub=hub.with_write(sending))

        hub = await self._change(decide)
        if _find(hub, write.id) != sending:
            raise NotWanted
        self.has_sent = True
        return sending

    async def _change(self, decide: Callable[[Hub, datetime], Step]) -> Hub:
        hub = await self._journal.commit(
            hubs.change(self._bench.tenant_id, self._incident_id, decide, lease=self._lease)
        )
        if hub is None:
            raise LeaseLost
        return hub


def _find(hub: Hub, write_id: str) -> IncidentWrite | None:
    return next((write for write in hub.writes if write.id == write_id), None)


def _new_incident(hub: Hub, native_id: str, created_for: str, carried: list[Alert]) -> NewIncident:
    source_id, _, origin_id = created_for.partition("/")
    origin = hub.link_at(source_id, origin_id)
    moments = sorted(alert.created for alert in carried if alert.created)
    return NewIncident(
        native_id=native_id,
        created_for=created_for,
        fields=hub.fields,
        original_url=origin.url if origin else "",
        alerts=tuple(carried),
        first_activity=moments[0] if moments else None,
        last_activity=moments[-1] if moments else None,
    )
