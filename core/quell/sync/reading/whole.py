"""Reads observations whole: fetches what a list left out and the journal does not know yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from quell.domain.hub import Link
from quell.domain.ports import Detail, IncidentSource, ObservedIncident
from quell.errors import AnswerNotFound, BadAnswer, RequestRefused, ServerFailure
from quell.journal import links
from quell.sync.bench import Bench
from quell.sync.reading.clean import cleaned
from quell.sync.reading.details import missing_parts

__all__ = ["OF_ONE", "WholeReader"]

#: what concerns one incident alone: it is parked and the poll goes on
OF_ONE = (BadAnswer, RequestRefused, ServerFailure)
#: so many failures in a row are the product's, not the incidents'
IN_A_ROW = 3
#: longest chain of merges that is read ahead
HOPS = 8


class WholeReader:
    """Completes what lists of one tenant's sources show."""

    def __init__(self, bench: Bench) -> None:
        self._journal = bench.journal
        self._tenant_id = bench.tenant_id

    async def read(
        self,
        source: IncidentSource,
        seen: Sequence[ObservedIncident],
        poison: dict[str, str],
        *,
        checks_since: datetime | None = None,
    ) -> list[ObservedIncident]:
        """Fetch what is missing, and winners of merges that are unknown.

        What cannot be read is added to `poison`. What is in there already was read as far as
        that goes: it is taken as it is. What changed after `checks_since` is looked at closely.
        """
        known = await self._known(source, seen)
        originals = await self._originals(seen)
        whole: list[ObservedIncident] = []
        failures = 0
        for one in seen:
            link = known.get(one.native_id)
            has_original = (one.counterpart_system, one.counterpart_id) in originals
            is_check = checks_since is not None and _is_after(one, checks_since)
            parts = missing_parts(link, one, has_original=has_original, is_check=is_check)
            if not source.tasks_at_most:
                parts -= {Detail.TASKS}
            if not parts or one.native_id in poison:
                whole.append(cleaned(one))
                continue
            try:
                whole.append(cleaned(await source.fetch_details(one, parts)))
                failures = 0
            except AnswerNotFound:
                whole.append(cleaned(msgspec.structs.replace(one, is_deleted=True)))
            except OF_ONE as error:
                failures += 1
                if isinstance(error, ServerFailure) and failures >= IN_A_ROW:
                    raise
                poison[one.native_id] = str(error)
        return await self._with_winners(source, whole, known)

    async def _known(
        self, source: IncidentSource, seen: Sequence[ObservedIncident]
    ) -> dict[str, Link]:
        ids = [one.native_id for one in seen]
        if not ids:
            return {}
        return await self._journal.ask(links.known(self._tenant_id, source.source_id, ids))

    async def _originals(
        self, seen: Sequence[ObservedIncident]
    ) -> set[tuple[str | None, str | None]]:
        """Find which of the incidents are known that proven copies say they are copies of."""
        claims: dict[str, set[str]] = {}
        for one in seen:
            if one.counterpart_system and one.counterpart_id and one.proofs:
                claims.setdefault(one.counterpart_system, set()).add(one.counterpart_id)
        found: set[tuple[str | None, str | None]] = set()
        for system, ids in claims.items():
            there = await self._journal.ask(links.of_system(self._tenant_id, system, ids))
            found |= {(system, native_id) for native_id in there}
        return found

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


def _is_after(seen: ObservedIncident, moment: datetime) -> bool:
    return seen.changed_at is not None and seen.changed_at > moment
