"""`quell holds`: who wants which state of which entity to last."""

from __future__ import annotations

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.output import json_option, show
from quell.cli.tenants import tenant_option

__all__ = ["holds"]


@click.command()
@tenant_option
@click.option("--entity", metavar="ID", help="Only holds on this entity.")
@click.option("--due", is_flag=True, help="Only holds that somebody should look at by now.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True)
@json_option
@pass_invocation
def holds(
    invocation: Invocation,
    tenant: str | None,
    entity: str | None,
    due: bool,
    limit: int,
) -> None:
    """List who wants which state of what to last."""
    from quell.journal import holds as journal_holds

    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        due_before = runtime.journal.now() if due else None
        question = journal_holds.listed(
            chosen.id, entity_id=entity, due_before=due_before, limit=limit
        )
        found = runtime.journal.ask_now(question)
    rows = [
        {
            "entity": one.entity_id,
            "state": one.state,
            "owner": one.owner.value,
            "owner_id": one.owner_id,
            "since": one.made_at,
            "review": one.review_at,
            "reason": one.reason,
        }
        for one in found
    ]
    show(rows, ("entity", "state", "owner", "owner_id", "since", "review"), empty="no holds")
