"""`quell sync parked` and `retry`: what a product did not take, and another try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.outcome import ExitCode
from quell.cli.output import json_option, say, show
from quell.cli.tenants import tenant_option
from quell.errors import NotFoundError

if TYPE_CHECKING:
    from quell.domain.hub import IncidentWrite
    from quell.domain.ids import IncidentId

__all__ = ["parked", "retry"]

COLUMNS = ("write", "incident", "source", "what", "planned_at", "reason")


@click.command()
@tenant_option
@json_option
@pass_invocation
def parked(invocation: Invocation, tenant: str | None) -> int:
    """List writes to incidents that were refused or given up, with the reason.

    They are tried again by `quell sync retry`. Exits with 1 when there are any.
    """
    from quell.journal import incident_writes

    with invocation.runtime() as runtime:
        question = incident_writes.parked_of(runtime.tenant(tenant).id)
        found = runtime.journal.ask_now(question)
    show([_row(*one) for one in found], COLUMNS, empty="nothing is parked")
    return ExitCode.NO if found else ExitCode.DONE


@click.command()
@click.argument("write", required=False)
@click.option("--all", "everything", is_flag=True, help="Every write that is parked.")
@tenant_option
@json_option
@pass_invocation
def retry(invocation: Invocation, write: str | None, everything: bool, tenant: str | None) -> int:
    """Let a parked write be tried again, after somebody looked at it.

    WRITE is the name that `quell sync parked` shows.
    """
    from quell.journal import incident_writes

    if (write is None) != everything:
        raise click.UsageError("Name a write, or give --all.")
    with invocation.runtime() as runtime:
        chosen, commit = runtime.tenant(tenant).id, runtime.journal.commit_now
        found = runtime.journal.ask_now(incident_writes.parked_of(chosen))
        names = [one.id for _, one in found] if write is None else [write]
        tried = [
            name
            for name in names
            if commit(
                incident_writes.retry(chosen, name, by=invocation.person, chain=runtime.worker_id)
            )
        ]
    if write is not None and not tried:
        raise NotFoundError(
            what="parked write", name=write, remedy="`quell sync parked` lists them."
        )
    text = f"writes to be tried again with the next pass: {len(tried)}"
    say(text if tried else "nothing is parked", retried=tried)
    return ExitCode.DONE


def _row(incident_id: IncidentId, write: IncidentWrite) -> dict[str, Any]:
    is_update = write.kind.value == "update"
    return {
        "write": write.id,
        "incident": incident_id,
        "source": write.source_id,
        "what": ", ".join(sorted(write.intended)) if is_update else write.kind.value,
        "planned_at": write.planned_at,
        "reason": write.error,
    }
