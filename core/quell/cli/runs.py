"""`quell runs`: list runs, show what one did and why, cancel it, resume it, settle what is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.output import json_option, say, show, show_parts
from quell.cli.tenants import tenant_option
from quell.domain.ids import IncidentId, RunId

if TYPE_CHECKING:
    from quell.journal.effects import EffectRow
    from quell.journal.run_events import StoredEvent
    from quell.journal.runs import RunRow
    from quell.journal.steps import StepRow

__all__ = ["runs"]

STATES = ("queued", "running", "waiting", "done", "failed", "cancelled", "parked")


@click.group(invoke_without_command=True)
@tenant_option
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only these.")
@click.option("--playbook", metavar="ID", help="Only runs of this playbook.")
@click.option("--incident", metavar="ID", help="Only runs for this incident.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@json_option
@pass_invocation
@click.pass_context
def runs(
    context: click.Context,
    invocation: Invocation,
    tenant: str | None,
    states: tuple[str, ...],
    playbook: str | None,
    incident: str | None,
    limit: int,
) -> None:
    """List runs, newest first; show one, cancel or resume it."""
    if context.invoked_subcommand is not None:
        return
    from quell.domain.run import RunState
    from quell.journal import runs as journal_runs

    with invocation.runtime() as runtime:
        question = journal_runs.listed(
            runtime.tenant(tenant).id,
            states=[RunState(state) for state in states],
            playbook_id=playbook,
            incident_id=IncidentId(incident) if incident else None,
            limit=limit,
        )
        found = runtime.journal.ask_now(question)
    columns = ("id", "playbook", "state", "incident", "created_at", "finished_at", "error")
    show([_run(row) for row in found], columns, empty="no runs")


@runs.command("show")
@click.argument("run_id")
@tenant_option
@json_option
@pass_invocation
def show_command(invocation: Invocation, run_id: str, tenant: str | None) -> None:
    """Show a run: its steps, its effects and their reasons, and what happened when."""
    from quell.journal import effects as journal_effects
    from quell.journal import runs as journal_runs
    from quell.journal import steps as journal_steps

    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        ref = journal_runs.RunRef(chosen.id, RunId(run_id))
        ask = runtime.journal.ask_now
        run = _run(ask(journal_runs.get(ref)))
        steps = [_step(row) for row in ask(journal_steps.listed(chosen.id, ref.run_id))]
        effects = [
            _effect(row) for row in ask(journal_effects.listed(chosen.id, run_id=ref.run_id))
        ]
        events = [_event(row) for row in ask(journal_runs.events(ref))]
    show_parts(
        run,
        {
            "steps": (steps, ("step", "state", "attempt", "results", "error")),
            "effects": (effects, ("key", "action", "target", "state", "reason", "do", "by")),
            "events": (events, ("at", "what", "about")),
        },
    )


@runs.command()
@click.argument("run_id")
@tenant_option
@click.option("--reason", default="", help="Why, for the record.")
@json_option
@pass_invocation
def cancel(invocation: Invocation, run_id: str, tenant: str | None, reason: str) -> None:
    """Stop a run at its next step; what is open at a product is settled first."""
    from quell.journal import runs as journal_runs

    with invocation.runtime() as runtime:
        ref = journal_runs.RunRef(runtime.tenant(tenant).id, RunId(run_id))
        state = runtime.journal.commit_now(
            journal_runs.cancel(ref, by=invocation.person, chain=runtime.worker_id, reason=reason)
        )
    say(f"{run_id} is {state.value} and does nothing new", run=run_id, state=state.value)


@runs.command()
@click.argument("run_id")
@tenant_option
@json_option
@pass_invocation
def resume(invocation: Invocation, run_id: str, tenant: str | None) -> None:
    """Let a parked run go on, after somebody looked at it."""
    from quell.journal import runs as journal_runs

    with invocation.runtime() as runtime:
        ref = journal_runs.RunRef(runtime.tenant(tenant).id, RunId(run_id))
        write = journal_runs.resume(ref, by=invocation.person, chain=runtime.worker_id)
        runtime.journal.commit_now(write)
    say(f"{run_id} goes on", run=run_id, state="queued")


@runs.command()
@click.argument("effect_key")
@click.option("--happened/--did-not-happen", required=True, help="What you found out.")
@click.option("--reason", required=True, help="How you know, for the record.")
@tenant_option
@json_option
@pass_invocation
def settle(
    invocation: Invocation, effect_key: str, happened: bool, reason: str, tenant: str | None
) -> None:
    """Write down what you found out about an effect that is unknown."""
    from quell.journal import effects as journal_effects

    with invocation.runtime() as runtime:
        write = journal_effects.settle_unknown(
            runtime.tenant(tenant).id,
            effect_key,
            happened=happened,
            by=invocation.person,
            chain=runtime.worker_id,
            reason=reason,
        )
        runtime.journal.commit_now(write)
    found = "it happened" if happened else "it did not happen"
    say(f"{effect_key}: {found}", effect=effect_key, happened=happened)


def _run(row: RunRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "playbook": row.playbook_id,
        "digest": row.digest,
        "state": row.state.value,
        "incident": row.incident_id,
        "revision": row.revision,
        "cause": row.cause,
        "origin": row.origin,
        "by": row.options.ordered_by or row.options.released_by,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
        "details_removed_at": row.pruned_at,
        "wake_at": row.wake_at,
        "worker": row.owner,
        "error": row.error,
    }


def _step(row: StepRow) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for entry in row.results:
        counts[entry.result.value] = counts.get(entry.result.value, 0) + 1
    return {
        "step": row.key,
        "state": row.state.value,
        "attempt": row.attempt,
        "results": [f"{count} {name}" for name, count in counts.items()],
        "targets": [
            {"id": entry.target_id, "result": entry.result.value, "reason": entry.reason}
            for entry in row.results
        ],
        "wake_at": row.wake_at,
        "error": row.error,
    }


def _effect(row: EffectRow) -> dict[str, Any]:
    entity = row.target.get("entity")
    name = entity.get("name") if isinstance(entity, dict) else ""  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType] # JSON
    return {
        "key": row.key,
        "action": row.action,
        "system": row.system,
        "target": name or row.target_id,
        "target_id": row.target_id,
        "state": row.state.value,
        "reason": row.reason,
        # what a failure says to do about it, and what an unknown one to look at
        "do": getattr(row.outcome, "remedy", "") or getattr(row.outcome, "look_at", ""),
        "by": row.by,
        "approval": row.approval_id,
        "decided_at": row.decided_at,
        "sent_at": row.sent_at,
        "settled_at": row.settled_at,
        "verified": row.verified,
    }


def _event(row: StoredEvent) -> dict[str, Any]:
    about = [f"{key}={value}" for key, value in row.body.items()]
    return {"at": row.at, "what": row.kind, "about": about, "body": row.body}
