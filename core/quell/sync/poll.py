"""Polls one source: what changed is read whole, stored page by page with the cursor, and planned on.

A page's rows and its cursor are one transaction. An incident that cannot be read is parked and
told of; everything that concerns the whole source stops the poll where it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog

from quell.domain.hub import Hub, Link, Step
from quell.domain.ids import IncidentId, SourceId
from quell.domain.incident import Origin
from quell.domain.ports import IncidentSource, ObservedIncident, PolledPage
from quell.errors import AnswerNotFound, BadAnswer, ConnectorError, RequestRefused, ServerFailure
from quell.journal import cursors, hubs, links, sync_switches
from quell.sync.bench import Bench, Decider
from quell.sync.clean import cleaned
from quell.sync.plan import plan

__all__ = ["PollReport", "Poller", "close_pages"]

logger = structlog.get_logger(__name__)

#: what concerns one incident alone: it is parked and the poll goes on
OF_ONE = (BadAnswer, RequestRefused, ServerFailure)
#: what a payload that our own code trips over can raise; it is parked like one that is unreadable
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, msgspec.MsgspecError)
#: so many failures in a row are the product's, not the incidents'
IN_A_ROW = 3
#: longest chain of merges that is read ahead
HOPS = 8


class PollReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one poll of a source came to."""

    source_id: SourceId
    #: observations stored
    incidents: int = 0
    #: real changes among them
    revisions: int = 0
    #: incidents that have writes planned now
    writes: int = 0
    #: incidents that could not be read, with the reason
    parked: dict[str, str] = {}


@dataclass(slots=True)
class Tally:
    """A poll's report while it grows."""

    incidents: int = 0
    revisions: int = 0
    with_writes: set[IncidentId] = field(default_factory=set[IncidentId])
    parked: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, stored: hubs.Stored) -> None:
        """Count what was stored."""
        self.incidents += stored.incidents
        self.revisions += stored.revisions
        self.with_writes.update(stored.with_writes)


class Poller:
    """Polls the sources of one tenant."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._journal = bench.journal
        self._tenant_id = bench.tenant_id

    async def poll(self, source_id: SourceId) -> PollReport:
        """Poll one source to its end. Raises ConnectorError where the source as a whole fails."""
        source = self._bench.sides[source_id]
        tally = Tally()
        try:
            await self._poll(source, tally)
        except ConnectorError as error:
            await self._journal.commit(cursors.failed(self._tenant_id, source_id, str(error)))
            raise
        return PollReport(
            source_id=source_id,
            incidents=tally.incidents,
            revisions=tally.revisions,
            writes=len(tally.with_writes),
            parked=tally.parked,
        )

    async def _poll(self, source: IncidentSource, tally: Tally) -> None:
        start = await self._journal.ask(cursors.get(self._tenant_id, source.source_id))
        is_first = start.succeeded_at is None
        await self._retry_parked(source, tally)
        version = start.version
        pages = source.poll(start.cursor)
        try:
            async for page in pages:
                move = hubs.CursorMove(source_id=source.source_id, version=version, to=page.cursor)
                origin = Origin.BACKFILL if is_first else Origin.LIVE
                await self._take_page(source, page, move, origin, tally)
                version += 1
        finally:
            await close_pages(pages)
        await self._journal.commit(cursors.finished(self._tenant_id, source.source_id))
        if is_first and self._bench.sides.is_mirror(source.source_id):
            await self._settle_mirror(source, tally)

    async def _take_page(
        self,
        source: IncidentSource,
        page: PolledPage,
        move: hubs.CursorMove,
        origin: Origin,
        tally: Tally,
    ) -> None:
        poison = dict(page.poison)
        seen = await self._read_whole(source, page.incidents, poison)
        decider = Decider(await self._bench.rules())
        write = hubs.store(decider, seen, origin=origin, cursor=move, poison=poison)
        try:
            tally.add(await self._journal.commit(write))
        except UNREADABLE:
            await self._take_one_by_one(decider, seen, move, origin, poison, tally)
        tally.parked.update(poison)
        for native_id in poison:
            logger.warning(
                "Incident %s of %s is parked",
                native_id,
                source.source_id,
                event_name="incident_parked",
            )

    async def _take_one_by_one(
        self,
        decider: Decider,
        seen: Sequence[ObservedIncident],
        move: hubs.CursorMove,
        origin: Origin,
        poison: dict[str, str],
        tally: Tally,
    ) -> None:
        """Store a page that failed as a whole so that only what is wrong in it stays behind."""
        for one in seen:
            try:
                tally.add(await self._journal.commit(hubs.store(decider, [one], origin=origin)))
            except UNREADABLE as error:
                poison[one.native_id] = f"it cannot be stored ({type(error).__name__})"
        write = hubs.store(decider, [], origin=origin, cursor=move, poison=poison)
        await self._journal.commit(write)

    # -- reading whole ---------------------------------------------------------------------------

    async def _read_whole(
        self, source: IncidentSource, seen: Sequence[ObservedIncident], poison: dict[str, str]
    ) -> list[ObservedIncident]:
        """Fetch the details of what is new or changed, and winners of merges that are unknown."""
        ids = [one.native_id for one in seen]
        known = await self._journal.ask(links.known(self._tenant_id, source.source_id, ids))
        whole: list[ObservedIncident] = []
        failures = 0
        for one in seen:
            if not _needs_details(known.get(one.native_id), one):
                whole.append(cleaned(one))
                continue
            try:
                whole.append(await self._fetch(source, one))
                failures = 0
            except OF_ONE as error:
                failures += 1
                if isinstance(error, ServerFailure) and failures >= IN_A_ROW:
                    raise
                poison[one.native_id] = str(error)
        return await self._with_winners(source, whole, known)

    async def _fetch(self, source: IncidentSource, one: ObservedIncident) -> ObservedIncident:
        try:
            return cleaned(await source.fetch(one.native_id))
        except AnswerNotFound:
            return cleaned(msgspec.structs.replace(one, is_deleted=True))

    async def _with_winners(
        self, source: IncidentSource, seen: list[ObservedIncident], known: dict[str, Link]
    ) -> list[ObservedIncident]:
        have = {one.native_id for one in seen} | set(known)
        ahead: list[ObservedIncident] = []
        for one in seen:
            wanted, hops = one.merged_into, 0
            while wanted is not None and wanted not in have and hops < HOPS:
                have.add(wanted)
                if await self._is_known(source, wanted):
                    break
                try:
                    winner = cleaned(await source.fetch(wanted))
                except (AnswerNotFound, *OF_ONE):
                    break
                ahead.append(winner)
                wanted, hops = winner.merged_into, hops + 1
        return [*reversed(ahead), *seen]

    async def _is_known(self, source: IncidentSource, native_id: str) -> bool:
        question = links.find(self._tenant_id, source.source_id, native_id)
        return await self._journal.ask(question) is not None

    async def _retry_parked(self, source: IncidentSource, tally: Tally) -> None:
        """Try again what could not be read before."""
        due = await self._journal.ask(cursors.due_items(self._tenant_id, source.source_id))
        for item in due:
            try:
                seen = cleaned(await source.fetch(item.native_id))
                decider = Decider(await self._bench.rules())
                write = hubs.store(decider, [seen], origin=Origin.LIVE)
                tally.add(await self._journal.commit(write))
            except AnswerNotFound:
                pass  # it is gone: there is nothing left to read
            except (*OF_ONE, *UNREADABLE) as error:
                reason = str(error) if isinstance(error, ConnectorError) else type(error).__name__
                await self._journal.commit(
                    cursors.park(self._tenant_id, source.source_id, item.native_id, reason)
                )
                continue
            await self._journal.commit(
                cursors.unpark(self._tenant_id, source.source_id, item.native_id)
            )

    # -- after the first full read of a mirror ---------------------------------------------------

    async def _settle_mirror(self, source: IncidentSource, tally: Tally) -> None:
        """Settle what `auto` means here, and plan the copies that had to wait for that."""
        if self._bench.policy.mode == "auto":
            named = await self._journal.ask(links.count_naming(self._tenant_id, source.source_id))
            mode = "overlay" if named else "replica"
            reason = f"{named} copies there were made by the product itself"
            await self._journal.commit(
                sync_switches.settle_mode(self._tenant_id, source.source_id, mode, reason)
            )
        rules = await self._bench.rules()
        missing = await self._journal.ask(
            links.incidents_without(self._tenant_id, source.source_id)
        )
        for incident_id in missing:
            hub = await self._journal.commit(
                hubs.change(
                    self._tenant_id,
                    incident_id,
                    lambda hub, now: Step(hub=plan(hub, rules, now)),
                )
            )
            if hub is not None and _has_open(hub):
                tally.with_writes.add(incident_id)


def _has_open(hub: Hub) -> bool:
    return any(write.is_open for write in hub.writes)


def _needs_details(link: Link | None, seen: ObservedIncident) -> bool:
    if seen.is_deleted or (seen.alerts is not None and seen.comments is not None):
        return False
    if link is None or not seen.stamp:
        return True
    counts = (seen.alert_count, seen.comment_count)
    is_same = seen.stamp == link.stamp and (not seen.etag or seen.etag == link.etag)
    return not is_same or any(
        now is not None and now != then
        for now, then in zip(counts, (link.alert_count, link.comment_count), strict=True)
    )


async def close_pages(pages: AsyncIterator[PolledPage]) -> None:
    if isinstance(pages, AsyncGenerator):
        await pages.aclose()
