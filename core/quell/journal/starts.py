"""What started and what was held back: one transaction for everything that a revision starts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa

from quell.domain.ids import IncidentId, RunId, TenantId, WorkerId
from quell.domain.offers import Notice
from quell.errors import NotFoundError
from quell.journal import audit, notices, playbooks, run_rows
from quell.journal.playbooks import StoredPlaybook
from quell.journal.prepared import its, same
from quell.journal.run_rows import NewRun
from quell.journal.tables import acted, held_starts, revisions, runs
from quell.journal.upsert import insert_missing
from quell.journal.writer import Question, Transaction, Write

__all__ = [
    "Begun",
    "HeldStart",
    "NewHeld",
    "Start",
    "asked_about",
    "begin",
    "begun",
    "held",
    "release",
]


MATCHED = sa.update(revisions).where(
    same(revisions.c.tenant_id, revisions.c.incident_id, revisions.c.revision),
    revisions.c.matched_at.is_(None),
)
READ_RUNS = sa.select(runs.c.playbook_id, runs.c.id).where(
    same(runs.c.tenant_id, runs.c.incident_id)
)
READ_ACTED = sa.select(acted.c.playbook_id, acted.c.target_id).where(
    same(acted.c.tenant_id, acted.c.incident_id)
)


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What a playbook has begun for an incident so far."""

    playbook_id: str
    run_ids: frozenset[str] = frozenset()
    #: targets that it acted on, or has taken on
    acted: frozenset[str] = frozenset()


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """A run to begin; `claims` are the entities that it takes on for its playbook."""

    run: NewRun
    claims: tuple[str, ...] = ()
    #: whether it begins only for entities that nobody has taken on meanwhile
    needs_claims: bool = False


class NewHeld(msgspec.Struct, frozen=True, kw_only=True):
    """A start that a person has to let go."""

    playbook_id: str
    incident_id: IncidentId
    revision: int
    reason: str
    notice: Notice | None = None


class HeldStart(msgspec.Struct, frozen=True, kw_only=True):
    """A held start as the journal has it."""

    playbook_id: str
    incident_id: IncidentId
    revision: int
    reason: str
    at: datetime
    released_at: datetime | None = None
    released_by: str | None = None


def begin(
    tenant_id: TenantId,
    incident_id: IncidentId,
    revision: int,
    starts: Sequence[Start],
    held_back: Sequence[NewHeld],
) -> Write[list[RunId]]:
    """Begin runs, note what is held, and mark the revision as matched: all or nothing.

    Repeating it starts nothing twice: causes are unique, and so are an entity's claims.
    """

    def apply(tx: Transaction) -> list[RunId]:
        mine = its(tenant_id=tenant_id, incident_id=incident_id, revision=revision)
        tx.later(MATCHED, {**mine, "matched_at": tx.now})
        for one in held_back:
            _hold(tx, tenant_id, one)
        begun = [_begin(tx, tenant_id, one) for one in starts]
        return [run_id for run_id in begun if run_id is not None]

    return Write(apply, locks=("match", tenant_id, incident_id))


def begun(tenant_id: TenantId, incident_id: IncidentId) -> Question[dict[str, Begun]]:
    """Tell, by playbook, what was begun for an incident so far."""

    def ask(tx: Transaction) -> dict[str, Begun]:
        by_playbook: dict[str, tuple[set[str], set[str]]] = {}
        asked = its(tenant_id=tenant_id, incident_id=incident_id)
        for row in tx.execute(READ_RUNS, asked):
            by_playbook.setdefault(row.playbook_id, (set(), set()))[0].add(row.id)
        for row in tx.execute(READ_ACTED, asked):
            by_playbook.setdefault(row.playbook_id, (set(), set()))[1].add(row.target_id)
        return {
            name: Begun(playbook_id=name, run_ids=frozenset(ids), acted=frozenset(targets))
            for name, (ids, targets) in by_playbook.items()
        }

    return ask


def asked_about(
    tenant_id: TenantId, incident_id: IncidentId
) -> Question[tuple[list[StoredPlaybook], dict[str, Begun]]]:
    """Give the playbooks that may start runs, and what was begun for an incident so far."""
    active, known = playbooks.active(tenant_id), begun(tenant_id, incident_id)
    return lambda tx: (active(tx), known(tx))


def held(
    tenant_id: TenantId, *, include_released: bool = False, limit: int = 200
) -> Question[list[HeldStart]]:
    """List starts that wait for a person, oldest first."""
    statement = sa.select(held_starts).where(held_starts.c.tenant_id == tenant_id)
    if not include_released:
        statement = statement.where(held_starts.c.released_at.is_(None))
    statement = statement.order_by(held_starts.c.at, held_starts.c.playbook_id).limit(limit)

    def ask(tx: Transaction) -> list[HeldStart]:
        return [
            HeldStart(
                playbook_id=row.playbook_id,
                incident_id=IncidentId(row.incident_id),
                revision=row.revision,
                reason=row.reason,
                at=row.at,
                released_at=row.released_at,
                released_by=row.released_by,
            )
            for row in tx.execute(statement)
        ]

    return ask


def release(tenant_id: TenantId, start: Start, *, by: str, chain: WorkerId) -> Write[RunId | None]:
    """Let a held start go: its run begins. None when it has been begun before.

    Raises NotFoundError when nothing is held for that playbook and incident.
    """
    run = start.run

    def apply(tx: Transaction) -> RunId | None:
        mine = sa.and_(
            held_starts.c.tenant_id == tenant_id,
            held_starts.c.playbook_id == run.playbook_id,
            held_starts.c.incident_id == run.incident_id,
            held_starts.c.released_at.is_(None),
        )
        let_go = sa.update(held_starts).where(mine).values(released_at=tx.now, released_by=by)
        if not tx.changed(let_go):
            name = f"{run.playbook_id} {run.incident_id}"
            raise NotFoundError(what="held start", name=name, remedy="List them: `quell held`.")
        body = {"playbook": run.playbook_id, "incident": run.incident_id, "run": run.id}
        audit.append(tx, tenant_id, chain, actor=by, action="start.release", body=body)
        return _begin(tx, tenant_id, start)

    return Write(apply, locks=("match", tenant_id, run.incident_id or ""))


def _begin(tx: Transaction, tenant_id: TenantId, start: Start) -> RunId | None:
    run = start.run
    claims = [one for one in start.claims if _claim(tx, tenant_id, run, one)]
    if start.needs_claims and not claims:
        return None
    if run.scope is not None:
        run = msgspec.structs.replace(run, scope=tuple(claims))
    if not run_rows.insert(tx, tenant_id, run):
        return None
    return run.id


def _claim(tx: Transaction, tenant_id: TenantId, run: NewRun, target_id: str) -> bool:
    row = {
        "tenant_id": tenant_id,
        "playbook_id": run.playbook_id,
        "incident_id": run.incident_id,
        "target_id": target_id,
        "run_id": run.id,
        "at": tx.now,
    }
    return insert_missing(tx, acted, [row]) == 1


def _hold(tx: Transaction, tenant_id: TenantId, one: NewHeld) -> None:
    row = {
        "tenant_id": tenant_id,
        "playbook_id": one.playbook_id,
        "incident_id": one.incident_id,
        "revision": one.revision,
        "reason": one.reason,
        "at": tx.now,
    }
    if insert_missing(tx, held_starts, [row]) and one.notice is not None:
        notices.add(tx, one.notice)
