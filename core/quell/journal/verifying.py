"""Checking every audit chain, through archives and journal, from as far back as can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from quell.domain.ids import TenantId
from quell.journal import audit
from quell.journal.archive import read_archive
from quell.journal.archived import audit_tenants, counted
from quell.journal.audit import Record
from quell.journal.database import Journal

__all__ = ["Verified", "verify"]

#: of a chain: the number and the digest of the last record that was seen
Head = tuple[int, str]


class Verified(msgspec.Struct, kw_only=True):
    """What could be checked, and what did not fit."""

    records: int = 0
    chains: int = 0
    #: records in archives that were not given
    unseen: int = 0
    problems: list[str] = msgspec.field(default_factory=list[str])


def verify(journal: Journal, archives: Sequence[Path] = ()) -> Verified:
    """Check all chains of all tenants. Raises StateError when an archive cannot be read."""
    report = Verified()
    seen = _check_archives(archives, report)
    for tenant_id in journal.ask_now(audit_tenants()):
        records, chains = journal.ask_now(counted(tenant_id))
        report.records += records
        report.chains += chains
        report.problems += journal.ask_now(audit.verify(tenant_id))
        for chain, head in journal.ask_now(audit.archived(tenant_id)).items():
            _join(tenant_id, chain, head, seen, report)
    return report


def _join(
    tenant_id: TenantId,
    chain: str,
    head: Head,
    seen: dict[tuple[str, str], dict[int, str]],
    report: Verified,
) -> None:
    """Check that the archives end where the journal says that it goes on."""
    digests = seen.get((tenant_id, chain))
    if digests is None:
        report.unseen += head[0]
    elif digests.get(head[0]) != head[1]:
        report.problems.append(f"chain {chain}: the archives do not lead up to record {head[0]}")


def _check_archives(
    archives: Sequence[Path], report: Verified
) -> dict[tuple[str, str], dict[int, str]]:
    """Check the archived records; gives, by tenant and chain, each one's digest."""
    found: dict[tuple[str, str], dict[int, Record]] = {}
    for path in archives:
        for line in read_archive(path):
            if line["table"] == "audit":
                record = _record(line["row"])
                # archives may overlap: a record is the same in each, or the chain breaks
                found.setdefault((line["tenant"], record.chain), {})[record.seq] = record
    for records in found.values():
        head: Head = (0, audit.NOTHING)
        for _, record in sorted(records.items()):
            head = audit.check(record, head, report.problems)
            report.records += 1
    return {key: {one.seq: one.digest for one in all_.values()} for key, all_ in found.items()}


def _record(row: dict[str, Any]) -> Record:
    return msgspec.convert(row, Record)
