"""Rows of runs: their values, the one statement that moves them, and reading them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from quell.domain.ids import IncidentId, RunId, TenantId, WorkerId
from quell.domain.run import RUN_MOVES, RunState, StepState, sources_of
from quell.errors import FenceLost, NotFoundError, StateError
from quell.journal import run_events
from quell.journal.prepared import among, its, same
from quell.journal.prepared import listed as one_of
from quell.journal.run_events import RunEvent, StoredEvent
from quell.journal.tables import runs, steps
from quell.journal.upsert import insert_missing
from quell.journal.writer import Question, Transaction

__all__ = [
    "IS_RUN",
    "ActOrder",
    "NewRun",
    "RunOptions",
    "RunRef",
    "RunRow",
    "change_run",
    "check_fence",
    "events",
    "extend",
    "find",
    "get",
    "insert",
    "listed",
    "lock",
    "lock_ahead",
    "locks_of",
    "move",
    "move_locked",
    "which",
]

IS_RUN = same(runs.c.tenant_id, runs.c.id)
READ = sa.select(runs).where(IS_RUN)
LOCK = READ.with_for_update()
LOCK_MANY = (
    sa.select(runs)
    .where(same(runs.c.tenant_id), one_of(runs.c.id))
    .order_by(runs.c.tenant_id, runs.c.id)
    .with_for_update()
)
CHANGE = sa.update(runs).where(IS_RUN)
#: by where it goes: the statement that moves a run, from wherever the table of moves allows it
MOVE = {
    to: sa.update(runs).where(IS_RUN, among(runs.c.state, sources_of(RUN_MOVES, to)))
    for to in RunState
    if sources_of(RUN_MOVES, to)
}
SETTLED = (
    sa.select(sa.func.count())
    .select_from(steps)
    .where(steps.c.tenant_id == runs.c.tenant_id, steps.c.run_id == runs.c.id)
    .where(among(steps.c.state, (state for state in StepState if state.is_settled)))
    .scalar_subquery()
)
#: the same for a run's end: no step may have been lost on the way
END = {to: MOVE[to].where(sa.bindparam("settled") <= SETTLED) for to in RunState if to.is_final}


class RunRef(NamedTuple):
    """What a wake-up carries: which run to look at, and nothing else."""

    tenant_id: TenantId
    run_id: RunId


class ActOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One action on given targets, ordered outside of any playbook: by a person, or to undo."""

    action: str
    system: str
    #: `{"id", "kind", "entity", "aliases"}` of each target
    targets: tuple[dict[str, Any], ...]
    params: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    reason: str = ""
    #: effect keys that this takes back
    undoes: tuple[str, ...] = ()
    #: whose holds end with it: run ids and people
    ends_holds_of: tuple[str, ...] = ()


class RunOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run was started with, beyond its playbook."""

    #: nothing above `annotate` is done
    is_dry: bool = False
    #: when the change that started it happened, by the product
    happened_at: datetime | None = None
    #: who let a held start go
    released_by: str = ""
    #: who ordered it, when a person did
    ordered_by: str = ""
    order: ActOrder | None = None


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be written down."""

    id: RunId
    playbook_id: str
    digest: str
    #: unique in the tenant: the same cause starts nothing twice
    cause: str
    incident_id: IncidentId | None = None
    revision: int = 0
    origin: str = "live"
    depth: int = 0
    priority: int = 5
    scope: tuple[str, ...] | None = None
    options: RunOptions = RunOptions()


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the journal has it."""

    tenant_id: TenantId
    id: RunId
    playbook_id: str
    digest: str
    incident_id: IncidentId | None
    revision: int
    cause: str
    origin: str
    depth: int
    state: RunState
    priority: int
    scope: tuple[str, ...] | None
    options: RunOptions
    owner: WorkerId | None
    fence: int
    lease_until: datetime | None
    wake_at: datetime | None
    cancel_requested: bool
    takeovers: int
    error: str
    created_at: datetime
    finished_at: datetime | None
    #: when its details were removed from the journal
    pruned_at: datetime | None = None

    @property
    def ref(self) -> RunRef:
        """Give what a wake-up for it carries."""
        return RunRef(self.tenant_id, self.id)


def insert(tx: Transaction, tenant_id: TenantId, run: NewRun) -> bool:
    """Write a run down as queued. False when its cause has started one already."""
    row = {
        "tenant_id": tenant_id,
        "id": run.id,
        "playbook_id": run.playbook_id,
        "digest": run.digest,
        "incident_id": run.incident_id,
        "revision": run.revision,
        "cause": run.cause,
        "origin": run.origin,
        "depth": run.depth,
        "state": RunState.QUEUED.value,
        "priority": run.priority,
        "scope": list(run.scope) if run.scope is not None else None,
        "options": msgspec.to_builtins(run.options),
        "fence": 0,
        "cancel_requested": False,
        "takeovers": 0,
        "error": "",
        "created_at": tx.now,
    }
    if not insert_missing(tx, runs, [row]):
        return False
    queued = RunEvent("run_queued", {"playbook": run.playbook_id, "cause": run.cause})
    run_events.append(tx, tenant_id, run.id, [queued])
    return True


def move(tx: Transaction, ref: RunRef, to: RunState, **values: Any) -> bool:
    """Move a run, if the table of moves allows it from where the row stands now.

    Returns False when it does not; the caller then reads the row again rather than assume.
    """
    return tx.changed(MOVE[to], _moved(tx, ref, to, values))


def move_locked(
    tx: Transaction, row: RunRow, to: RunState, *, settled: int = 0, **values: Any
) -> None:
    """Move a run whose row is locked, together with others of the group.

    Spoils the transaction, with StateError, where the table of moves does not allow it or fewer
    than `settled` of its steps are on record as settled.
    """
    problem = StateError(
        what=f"Run {row.id}",
        problem="has moved, or has steps that are not on record as settled",
        remedy="Nothing to do: the run is taken over and goes on.",
    )
    tx.drop(runs, row.ref)
    moved = _moved(tx, row.ref, to, values)
    if settled:
        tx.later(END[to], {**moved, "settled": settled}, problem)
    else:
        tx.later(MOVE[to], moved, problem)


def _moved(tx: Transaction, ref: RunRef, to: RunState, values: dict[str, Any]) -> dict[str, Any]:
    if to.is_final:
        values = {"finished_at": tx.now, "wake_at": None, **values}
    if to is not RunState.RUNNING:
        # a run that has moved is news to the sweep, however lately it was found
        values = {"owner": None, "lease_until": None, "swept_at": None, **values}
    return {**which(ref), "state": to.value, **values}


def extend(tx: Transaction, row: RunRow, until: datetime) -> RunRow:
    """Let the lease of a run whose row is locked end later; gives the row as it is then."""
    tx.later(CHANGE, {**which(row.ref), "lease_until": until})
    extended = msgspec.structs.replace(row, lease_until=until)
    tx.keep(runs, row.ref, extended)
    return extended


def change_run(tx: Transaction, ref: RunRef, **values: Any) -> None:
    """Change what a run's row says, but not where it stands."""
    tx.execute(CHANGE, {**which(ref), **values})


def which(ref: RunRef) -> dict[str, Any]:
    """Name a run to statements about `IS_RUN`."""
    return its(tenant_id=ref.tenant_id, id=ref.run_id)


def lock(tx: Transaction, ref: RunRef) -> RunRow:
    """Read a run's row and keep it from changing. Raises NotFoundError."""
    kept: RunRow | None = tx.kept(runs, ref)
    if kept is not None:
        return kept
    row = tx.execute(LOCK, which(ref)).first()
    if row is None:
        raise NotFoundError(what="run", name=ref.run_id)
    return row_of(row)


def lock_ahead(tx: Transaction, locks: Sequence[tuple[str, ...]]) -> None:
    """Lock the rows of many runs at once; `locks` is what `locks_of` gave for each."""
    by_tenant: dict[str, set[str]] = {}
    for _, tenant_id, run_id in locks:
        by_tenant.setdefault(tenant_id, set()).add(run_id)
    for tenant_id, run_ids in by_tenant.items():
        for row in tx.execute(LOCK_MANY, its(tenant_id=tenant_id, id=sorted(run_ids))):
            kept = row_of(row)
            tx.keep(runs, kept.ref, kept)


def locks_of(ref: RunRef) -> tuple[str, ...]:
    """Say in which order writes about runs come."""
    return ("run", ref.tenant_id, ref.run_id)


def check_fence(tx: Transaction, ref: RunRef, fence: int) -> RunRow:
    """Lock the run's row and make sure that it is still ours. Raises FenceLost."""
    row = lock(tx, ref)
    if row.fence != fence or row.state is not RunState.RUNNING:
        raise FenceLost(run_id=ref.run_id)
    return row


def find(ref: RunRef) -> Question[RunRow | None]:
    """Read a run, if there is one."""

    def ask(tx: Transaction) -> RunRow | None:
        row = tx.execute(READ, which(ref)).first()
        return row_of(row) if row is not None else None

    return ask


def get(ref: RunRef) -> Question[RunRow]:
    """Read a run. Raises NotFoundError."""

    def ask(tx: Transaction) -> RunRow:
        row = find(ref)(tx)
        if row is None:
            raise NotFoundError(what="run", name=ref.run_id)
        return row

    return ask


def listed(
    tenant_id: TenantId,
    *,
    states: Sequence[RunState] = (),
    playbook_id: str | None = None,
    incident_id: IncidentId | None = None,
    before: datetime | None = None,
    limit: int = 50,
) -> Question[list[RunRow]]:
    """List runs, newest first; `before` goes on where the last page ended."""
    statement = sa.select(runs).where(runs.c.tenant_id == tenant_id)
    if states:
        statement = statement.where(runs.c.state.in_([state.value for state in states]))
    if playbook_id is not None:
        statement = statement.where(runs.c.playbook_id == playbook_id)
    if incident_id is not None:
        statement = statement.where(runs.c.incident_id == incident_id)
    if before is not None:
        statement = statement.where(runs.c.created_at < before)
    statement = statement.order_by(runs.c.created_at.desc(), runs.c.id).limit(limit)
    return lambda tx: [row_of(row) for row in tx.execute(statement)]


def events(ref: RunRef) -> Question[list[StoredEvent]]:
    """List what happened in a run, oldest first."""
    return run_events.of_run(ref.tenant_id, ref.run_id)


def row_of(row: sa.Row[Any]) -> RunRow:
    """Read a row into a value."""
    values = {name: getattr(row, name) for name in PLAIN}
    return RunRow(
        **values,
        state=RunState(row.state),
        scope=tuple(row.scope) if row.scope is not None else None,
        options=msgspec.convert(row.options, RunOptions),
    )


#: what a row of the table holds as it is
PLAIN = tuple(
    name for name in RunRow.__struct_fields__ if name not in {"state", "scope", "options"}
)
