"""`quell held`: starts that wait for a person, because the change was old or not live."""

from __future__ import annotations

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.lookup import the_incident
from quell.cli.output import json_option, say, show
from quell.cli.tenants import tenant_option

__all__ = ["held"]


@click.group(invoke_without_command=True)
@tenant_option
@click.option("--all", "show_all", is_flag=True, help="Show released ones too.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True)
@json_option
@pass_invocation
@click.pass_context
def held(
    context: click.Context, invocation: Invocation, tenant: str | None, show_all: bool, limit: int
) -> None:
    """List starts that wait for a person; release one."""
    if context.invoked_subcommand is not None:
        return
    from quell.journal import starts

    with invocation.runtime() as runtime:
        question = starts.held(runtime.tenant(tenant).id, include_released=show_all, limit=limit)
        found = runtime.journal.ask_now(question)
    rows = [
        {
            "playbook": one.playbook_id,
            "incident": one.incident_id,
            "revision": one.revision,
            "since": one.at,
            "reason": one.reason,
            "released_at": one.released_at,
            "released_by": one.released_by,
        }
        for one in found
    ]
    columns = ("playbook", "incident", "revision", "since", "reason")
    show(rows, columns, empty="nothing is held back")


@held.command()
@click.argument("playbook")
@click.argument("incident")
@tenant_option
@json_option
@pass_invocation
def release(invocation: Invocation, playbook: str, incident: str, tenant: str | None) -> None:
    """Let a start that was held back go, as if the change were new."""
    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        incident_id = the_incident(runtime.journal, chosen.id, incident)
        run_id = runtime.run(
            chosen.engine.release_start(playbook, incident_id, by=invocation.person)
        )
    text = f"released; run {run_id}" if run_id else "released; it had been started before"
    say(text, playbook=playbook, incident=incident_id, run=run_id)
