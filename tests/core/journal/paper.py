"""Rows as a journal has them, written straight into its tables: finished runs with their details."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from quell.domain.ids import TenantId
from quell.journal import Journal, Write
from quell.journal.tables import (
    acted,
    approvals,
    attempts,
    effects,
    holds,
    incidents,
    notices,
    run_events,
    runs,
    steps,
)

TENANT = TenantId("contoso")
EMPTY: dict[str, Any] = {}


def put(journal: Journal, table: sa.Table, *rows: dict[str, Any]) -> None:
    """Write rows into a table."""

    def apply(tx: Any) -> None:
        tx.execute(sa.insert(table), [{"tenant_id": TENANT, **row} for row in rows])

    journal.commit_now(Write(apply))


def count(journal: Journal, table: sa.Table) -> int:
    """Count a table's rows."""
    statement = sa.select(sa.func.count()).select_from(table)
    return int(journal.ask_now(lambda tx: tx.execute(statement).scalar_one()))


def put_incident(journal: Journal, name: str, status: str = "closed", **changes: Any) -> None:
    """Write an incident down."""
    moment = journal.now()
    row: dict[str, Any] = {
        "id": name,
        "fields": EMPTY,
        "revision": 1,
        "marks": EMPTY,
        "severity": "low",
        "status": status,
        "created_at": moment,
        "updated_at": moment,
    }
    put(journal, incidents, {**row, **changes})


def put_run(
    journal: Journal,
    name: str,
    *,
    days: float = 100,
    state: str = "done",
    incident: str | None = "i1",
    effect: str = "done",
    **changes: Any,
) -> None:
    """Write a run down that ended some days ago, with a step, an attempt, an event and an effect."""
    moment = journal.now() - timedelta(days=days)
    row: dict[str, Any] = {
        "id": name,
        "playbook_id": "p",
        "digest": "d",
        "incident_id": incident,
        "revision": 1,
        "cause": f"p/{name}",
        "origin": "live",
        "depth": 0,
        "state": state,
        "priority": 5,
        "options": EMPTY,
        "fence": 1,
        "cancel_requested": False,
        "takeovers": 0,
        "error": "",
        "created_at": moment - timedelta(minutes=1),
        "finished_at": moment if state in {"done", "failed", "cancelled"} else None,
    }
    put(journal, runs, {**row, **changes})
    put_details(journal, name, moment, incident, effect)


def put_details(
    journal: Journal, name: str, moment: datetime, incident: str | None, effect: str
) -> None:
    """Write down what belongs to a run."""
    put(
        journal,
        steps,
        {"run_id": name, "step_key": "a", "state": "done", "attempt": 1, "error": ""}
        | {"plan": {"n": name, "odd": "\ud800 ü"}, "results": []},
    )
    put(
        journal,
        attempts,
        {"run_id": name, "step_key": "a", "attempt": 1, "worker": "w", "started_at": moment}
        | {"outcome": "done"},
    )
    put(
        journal,
        run_events,
        {"run_id": name, "seq": 1, "kind": "run_queued", "body": EMPTY, "at": moment},
    )
    put(
        journal,
        approvals,
        {"id": f"q-{name}", "run_id": name, "step_key": "a", "question": EMPTY, "state": "approved"}
        | {"who": "soc", "otherwise": "deny", "asked_at": moment, "expires_at": moment}
        | {"reason": ""},
    )
    put_effect(journal, name, moment, incident, effect)
    if incident is not None:
        put(
            journal,
            acted,
            {"playbook_id": "p", "incident_id": incident, "target_id": f"t-{name}"}
            | {"run_id": name, "at": moment},
        )


def put_effect(
    journal: Journal, name: str, moment: datetime, incident: str | None, state: str, **changes: Any
) -> None:
    """Write an effect of a run down."""
    row: dict[str, Any] = {
        "effect_key": f"e-{name}",
        "seq": 1,
        "run_id": name,
        "step_key": "a",
        "action": "device.isolate",
        "system": "lab",
        "kind": "contain",
        "incident_id": incident,
        "target_id": f"t-{name}",
        "target_kind": "device",
        "target": EMPTY,
        "params": EMPTY,
        "params_digest": "",
        "state": state,
        "vendor_key": f"v-{name}",
        "reason": "",
        "by": "p",
        "policy": "1",
        "decided_at": moment,
        "deadline": moment,
    }
    put(journal, effects, {**row, **changes})


def put_hold(journal: Journal, name: str, **changes: Any) -> None:
    """Write down that a run's effect is still wanted."""
    row: dict[str, Any] = {
        "entity_id": f"t-{name}",
        "state": "device.isolated",
        "owner": "run",
        "owner_id": name,
    }
    row |= {"effect_key": f"e-{name}", "reason": ""}
    put(journal, holds, {**row, "made_at": journal.now(), **changes})


def put_notice(journal: Journal, name: str, *, days: float, is_sent: bool) -> None:
    """Write a notice down."""
    moment = journal.now() - timedelta(days=days)
    row: dict[str, Any] = {"id": name, "kind": "approval", "body": EMPTY, "at": moment}
    put(journal, notices, {**row, "sent_at": moment if is_sent else None})
