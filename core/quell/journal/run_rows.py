"""Rows of runs: their values, the one statement that moves them, and reading them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from quell.domain.ids import IncidentId, RunId, TenantId, WorkerId
from quell.domain.run import RUN_MOVES, RunState, sources_of
from quell.errors import FenceLost, NotFoundError
from quell.journal import run_events
from quell.journal.run_events import RunEvent, StoredEvent
from quell.journal.tables import runs
from quell.journal.upsert import insert_missing
from quell.journal.writer import Question, Transaction

__all__ = [
    "ActOrder",
    "NewRun",
    "RunOptions",
    "RunRef",
    "RunRow",
    "check_fence",
    "events",
    "find",
    "get",
    "insert",
    "listed",
    "lock",
    "move",
]


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
    allowed = [state.value for state in sources_of(RUN_MOVES, to)]
    if to.is_final:
        values = {"finished_at": tx.now, "wake_at": None, **values}
    if to is not RunState.RUNNING:
        # a run that has moved is news to the sweep, however lately it was found
        values = {"owner": None, "lease_until": None, "swept_at": None, **values}
    statement = (
        sa.update(runs).where(is_run(ref), runs.c.state.in_(allowed)).values(state=to, **values)
    )
    return tx.changed(statement)


def lock(tx: Transaction, ref: RunRef) -> RunRow:
    """Read a run's row and keep it from changing. Raises NotFoundError."""
    rows = tx.lock(sa.select(runs).where(is_run(ref)))
    if not rows:
        raise NotFoundError(what="run", name=ref.run_id)
    return row_of(rows[0])


def check_fence(tx: Transaction, ref: RunRef, fence: int) -> RunRow:
    """Lock the run's row and make sure that it is still ours. Raises FenceLost."""
    row = lock(tx, ref)
    if row.fence != fence or row.state is not RunState.RUNNING:
        raise FenceLost(run_id=ref.run_id)
    return row


def find(ref: RunRef) -> Question[RunRow | None]:
    """Read a run, if there is one."""

    def ask(tx: Transaction) -> RunRow | None:
        row = tx.execute(sa.select(runs).where(is_run(ref))).first()
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


def is_run(ref: RunRef) -> sa.ColumnElement[bool]:
    """Say in SQL which row it is."""
    return sa.and_(runs.c.tenant_id == ref.tenant_id, runs.c.id == ref.run_id)


def row_of(row: sa.Row[Any]) -> RunRow:
    """Read a row into a value."""
    values: dict[str, Any] = {one.name: getattr(row, one.name) for one in runs.columns}
    values.pop("swept_at")
    scope, options = values.pop("scope"), values.pop("options")
    values["state"] = RunState(values["state"])
    return RunRow(
        **values,
        scope=tuple(scope) if scope is not None else None,
        options=msgspec.convert(options, RunOptions),
    )
