"""Who may be claimed now: caps over the whole fleet, and suspects that have to run alone.

Caps are counted in the transaction of the claim, under a row that every claim of a capped
tenant locks: so no two workers take the last place. A tenant without caps pays nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

import msgspec
import sqlalchemy as sa

from quell.domain.ids import TenantId, WorkerId
from quell.domain.run import RunState
from quell.domain.urgency import is_urgent
from quell.journal import runs
from quell.journal.run_rows import RunRef, RunRow
from quell.journal.runs import TAKEOVER_LIMIT, Claim
from quell.journal.tables import leases
from quell.journal.tables import runs as run_table
from quell.journal.upsert import insert_missing
from quell.journal.writer import Transaction, Write

__all__ = ["SUSPECT_AFTER", "Admission", "Limits", "Verdict"]

#: takeovers without progress after which a run is driven when its worker does nothing else
SUSPECT_AFTER = 2
#: the part of a tenant's places that only urgent runs may take
KEPT_FOR_URGENT = 5
#: the row that claims of a capped tenant lock; nobody ever holds it as a lease
TURN = "cap"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs of one tenant may be in hand at a time, in the whole fleet. 0 is no limit."""

    in_flight: int = 0
    #: the same for single playbooks, by name
    by_playbook: Mapping[str, int] = msgspec.field(default_factory=dict[str, int])

    def __bool__(self) -> bool:
        return bool(self.in_flight or self.by_playbook)


class Verdict(StrEnum):
    """What came of a try to claim a run."""

    #: it is another's, not due, or over
    NOT_DUE = "not_due"
    ADMITTED = "admitted"
    #: a cap is reached: it stays in the queue
    FULL = "full"
    #: it may have brought down its workers: to be tried again with nothing else in hand
    SUSPECT = "suspect"


@dataclass(slots=True)
class Admission:
    """One try to claim a run, and afterwards what came of it."""

    limits: Limits = field(default_factory=Limits)
    #: nothing else is in hand of this worker, nor will be until the run is let go
    is_alone: bool = False
    verdict: Verdict = Verdict.NOT_DUE

    def claim(self, ref: RunRef, worker: WorkerId, lasting: timedelta) -> Write[Claim | None]:
        """Claim a run as `runs.claim` does, if it may be in hand now."""
        inner = runs.claim(ref, worker, lasting, may=self._may)
        if not self.limits:
            return inner

        def apply(tx: Transaction) -> Claim | None:
            _take_turn(tx, ref.tenant_id)
            return inner.apply(tx)

        # whoever needs the turn takes it before any run: nobody waits for another in a ring
        return Write(apply, locks=("cap", ref.tenant_id, ref.run_id))

    def _may(self, tx: Transaction, row: RunRow) -> bool:
        is_takeover = row.state is RunState.RUNNING
        takeovers = row.takeovers + is_takeover
        if not self.is_alone and SUSPECT_AFTER <= takeovers <= TAKEOVER_LIMIT:
            self.verdict = Verdict.SUSPECT
        elif not is_takeover and self._is_full(tx, row):
            self.verdict = Verdict.FULL
        else:
            self.verdict = Verdict.ADMITTED
        return self.verdict is Verdict.ADMITTED

    def _is_full(self, tx: Transaction, row: RunRow) -> bool:
        if row.options.order is not None:
            return False  # a person ordered it and waits for it
        playbook_cap = self.limits.by_playbook.get(row.playbook_id, 0)
        if playbook_cap and _running(tx, row.tenant_id, row.playbook_id) >= playbook_cap:
            return True
        places = self.limits.in_flight
        if not is_urgent(row.priority):
            places -= places // KEPT_FOR_URGENT
        return bool(self.limits.in_flight) and _running(tx, row.tenant_id) >= places


def _take_turn(tx: Transaction, tenant_id: TenantId) -> None:
    """Let claims of a tenant come one after the other, whatever worker they are of."""
    row = {"tenant_id": tenant_id, "name": TURN, "owner": "", "fence": 0, "until": tx.now}
    insert_missing(tx, leases, [row])
    tx.lock(sa.select(leases.c.fence).where(leases.c.tenant_id == tenant_id, leases.c.name == TURN))


def _running(tx: Transaction, tenant_id: TenantId, playbook_id: str | None = None) -> int:
    counted = (
        sa.select(sa.func.count())
        .select_from(run_table)
        .where(run_table.c.tenant_id == tenant_id, run_table.c.state == RunState.RUNNING.value)
    )
    if playbook_id is not None:
        counted = counted.where(run_table.c.playbook_id == playbook_id)
    return int(tx.execute(counted).scalar_one())
