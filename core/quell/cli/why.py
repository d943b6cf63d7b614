"""`quell why`: what each active playbook makes of an incident, with the reason of every no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.lookup import the_incident
from quell.cli.output import json_option, show
from quell.cli.tenants import tenant_option

if TYPE_CHECKING:
    from quell.domain.view import RevisionView
    from quell.engine.match import Held, No, Start

__all__ = ["why"]


@click.command()
@click.argument("incident")
@click.option("--revision", type=int, help="Which change of it. [default: the last]")
@tenant_option
@json_option
@pass_invocation
def why(invocation: Invocation, incident: str, revision: int | None, tenant: str | None) -> None:
    """Say why playbooks started on an incident, or did not.

    Each active playbook is asked again, with what is known now; nothing is started.
    """
    from quell.journal import incidents
    from quell.journal import runs as journal_runs

    with invocation.runtime() as runtime:
        chosen, ask = runtime.tenant(tenant), runtime.journal.ask_now
        incident_id = the_incident(runtime.journal, chosen.id, incident)
        view = ask(incidents.view(chosen.id, incident_id))
        known = ask(incidents.revisions_of(chosen.id, incident_id))
        looked_at = _pick(known, revision)
        answers = runtime.run(chosen.engine.explain(looked_at, view)) if looked_at else {}
        runs = ask(journal_runs.listed(chosen.id, incident_id=incident_id))
    rows: list[dict[str, Any]] = [
        {"playbook": row.playbook_id, "answer": "started", "reason": row.cause, "run": row.id}
        for row in runs
    ]
    rows += [_row(name, answer) for name, answer in answers.items()]
    show(rows, ("playbook", "answer", "reason", "run"), empty="no playbook is active")


def _pick(known: list[RevisionView], revision: int | None) -> RevisionView | None:
    chosen = [one for one in known if revision in {None, one.revision}]
    return chosen[-1] if chosen else None


def _row(playbook: str, answer: Start | Held | No) -> dict[str, Any]:
    words = {"Start": "would start", "Held": "would be held", "No": "no"}
    reason = getattr(answer, "reason", "")
    return {
        "playbook": playbook,
        "answer": words[type(answer).__name__],
        "reason": reason,
        "run": "",
    }
