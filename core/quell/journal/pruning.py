"""Archiving and pruning as a whole: first a complete archive on disk, then removal, bit by bit."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from quell.domain.ids import TenantId
from quell.journal import archived, blobs, commits, retention
from quell.journal.archive import ArchiveWriter, said, writing
from quell.journal.archived import ChainPart
from quell.journal.database import Journal
from quell.journal.migrate import HEAD
from quell.journal.retention import BATCH, Candidate, Place

__all__ = ["Pruned", "Removable", "archive", "prune", "removable"]

#: a running fleet writes to the same tables: as long as a batch took, nothing is done
SHORTEST_PAUSE = 0.02

#: told after each batch how many runs were done
Tell = Callable[[int], None]


class Removable(msgspec.Struct, kw_only=True):
    """What a prune may remove, as it was found."""

    #: by tenant
    runs: dict[TenantId, list[str]] = msgspec.field(default_factory=dict[TenantId, list[str]])
    chains: list[ChainPart] = msgspec.field(default_factory=list[ChainPart])
    #: finished runs from before the moment that keep their details, by reason
    kept: Counter[str] = msgspec.field(default_factory=Counter[str])

    @property
    def run_count(self) -> int:
        """Count the runs."""
        return sum(len(ids) for ids in self.runs.values())

    @property
    def record_count(self) -> int:
        """Count the audit records."""
        return sum(part.last - part.head for part in self.chains)


class Pruned(msgspec.Struct, kw_only=True):
    """What was removed."""

    runs: int = 0
    notices: int = 0
    records: int = 0
    bodies: int = 0


def removable(journal: Journal, tenants: Sequence[TenantId], before: datetime) -> Removable:
    """Find what a prune may remove. Changes nothing."""
    found = Removable()
    for tenant_id in tenants:
        for one in _walk(journal, tenant_id, before):
            if one.kept_for:
                found.kept[one.kept_for] += 1
            else:
                found.runs.setdefault(tenant_id, []).append(one.run_id)
        found.chains += journal.ask_now(archived.chain_parts(tenant_id, before))
    return found


def archive(
    journal: Journal, found: Removable, path: Path, *, before: datetime, tell: Tell
) -> dict[str, int]:
    """Write what was found to a file. Gives the rows by table. Removes nothing."""
    about = {"schema": HEAD, "made_at": said(journal.now()), "before": said(before)}
    with writing(path, about) as file:
        for tenant_id, ids in found.runs.items():
            for batch in _batches(ids):
                for table, row in journal.ask_now(archived.rows_of(tenant_id, batch)):
                    file.add(table, tenant_id, row)
                tell(len(batch))
        for part in found.chains:
            _archive_chain(journal, part, file)
    return dict(file.rows)


def prune(
    journal: Journal,
    tenants: Sequence[TenantId],
    found: Removable,
    *,
    before: datetime,
    is_archived: bool,
    tell: Tell,
) -> Pruned:
    """Remove what was found, a batch at a time. Audit records go only when they are archived.

    Killed in between, it leaves a journal that is whole, and can be run again.
    """
    pruned = Pruned()
    for tenant_id, ids in found.runs.items():
        for batch in _batches(ids):
            with _Pause():
                pruned.runs += journal.commit_now(retention.remove(tenant_id, batch))
            tell(len(batch))
    for part in found.chains if is_archived else ():
        pruned.records += _cut_chain(journal, part)
    for tenant_id in tenants:
        pruned.notices += _forget_notices(journal, tenant_id, before)
        pruned.bodies += _sweep_bodies(journal, tenant_id)
    journal.commit_now(commits.prune())
    return pruned


class _Pause:
    """Waits as long as what was done inside took, so that half of the time is others'."""

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *error: object) -> None:
        time.sleep(max(time.monotonic() - self._began, SHORTEST_PAUSE))


def _walk(journal: Journal, tenant_id: TenantId, before: datetime) -> Iterator[Candidate]:
    after: Place | None = None
    while True:
        page = journal.ask_now(
            retention.candidates(tenant_id, before, after=after, limit=BATCH * 5)
        )
        yield from page
        if not page:
            return
        after = page[-1].place


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]


def _archive_chain(journal: Journal, part: ChainPart, file: ArchiveWriter) -> None:
    for row in _records(journal, part):
        file.add("audit", part.tenant_id, row)


def _records(journal: Journal, part: ChainPart) -> Iterator[dict[str, Any]]:
    after = part.head
    while page := journal.ask_now(archived.records(part, after)):
        yield from page
        after = page[-1]["seq"]


def _cut_chain(journal: Journal, part: ChainPart) -> int:
    gone, after = 0, part.head
    while page := journal.ask_now(archived.records(part, after)):
        after = page[-1]["seq"]
        with _Pause():
            gone += journal.commit_now(archived.cut(part, after, page[-1]["digest"]))
    return gone


def _forget_notices(journal: Journal, tenant_id: TenantId, before: datetime) -> int:
    gone, after = 0, ""
    while True:
        with _Pause():
            write = retention.forget_notices(tenant_id, before, after=after)
            some, onward = journal.commit_now(write)
        gone += some
        if onward is None:
            return gone
        after = onward


def _sweep_bodies(journal: Journal, tenant_id: TenantId) -> int:
    named, gone = journal.ask_now(blobs.named(tenant_id)), 0
    while True:
        with _Pause():
            some = journal.commit_now(blobs.sweep(tenant_id, named))
        gone += some
        if not some:
            return gone
