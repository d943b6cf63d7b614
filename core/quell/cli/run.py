"""`quell run`: start an active playbook on an incident by hand."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.lookup import the_incident
from quell.cli.outcome import ExitCode
from quell.cli.output import json_option, progress, say
from quell.cli.tenants import tenant_option
from quell.errors import NotFoundError

if TYPE_CHECKING:
    from quell.domain.ids import TenantId
    from quell.journal import Journal
    from quell.journal.playbooks import StoredPlaybook

__all__ = ["run"]


@click.command()
@click.argument("playbook")
@click.argument("incident")
@click.option("--dry", is_flag=True, help="Do nothing above a comment.")
@click.option("--detach", is_flag=True, help="Only queue it; a worker runs it.")
@tenant_option
@json_option
@pass_invocation
def run(
    invocation: Invocation,
    playbook: str,
    incident: str,
    dry: bool,
    detach: bool,
    tenant: str | None,
) -> int:
    """Start an active playbook on an incident by hand.

    It starts even where its trigger would not. Exits with 1 when the run failed, and with 6 when
    it waits for somebody.
    """
    from quell.domain.ids import RunId
    from quell.domain.run import RunState
    from quell.journal import incidents
    from quell.journal import runs as journal_runs

    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        stored = _active(runtime.journal, chosen.id, playbook)
        incident_id = the_incident(runtime.journal, chosen.id, incident)
        view = runtime.journal.ask_now(incidents.view(chosen.id, incident_id))
        new = journal_runs.NewRun(
            id=RunId(uuid.uuid4().hex),
            playbook_id=stored.id,
            digest=stored.digest,
            cause=f"{stored.id}/{incident_id}/by-hand/{uuid.uuid4().hex}",
            incident_id=incident_id,
            revision=view.revision,
            options=journal_runs.RunOptions(is_dry=dry, released_by=invocation.person),
        )
        runtime.journal.commit_now(journal_runs.create(chosen.id, new))
        state = RunState.QUEUED
        if not detach:
            with progress() as display:
                display.add_task(f"running {stored.id}")
                ref = journal_runs.RunRef(chosen.id, new.id)
                state = runtime.run(chosen.engine.drive(ref))
    say(f"run {new.id} is {state.value}; `quell runs show {new.id}`", run=new.id, state=state.value)
    codes = {
        RunState.FAILED: ExitCode.NO,
        RunState.PARKED: ExitCode.REFUSED,
        RunState.WAITING: ExitCode.REFUSED,
    }
    return codes.get(state, ExitCode.DONE)


def _active(journal: Journal, tenant_id: TenantId, playbook: str) -> StoredPlaybook:
    from quell.journal import playbooks

    active = journal.ask_now(playbooks.active(tenant_id))
    found = next((one for one in active if one.id == playbook), None)
    if found is None:
        names = ", ".join(one.id for one in active) or "none"
        raise NotFoundError(
            what="active playbook",
            name=playbook,
            remedy=f"Active are: {names}. Activate it: `quell playbook activate FILE`.",
        )
    return found
