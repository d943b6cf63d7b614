"""`quell sync`: bring the queues together once; list and accept drift; compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.outcome import ExitCode
from quell.cli.output import json_option, progress, say, show
from quell.cli.tenants import tenant_option
from quell.domain.ids import SourceId

if TYPE_CHECKING:
    from quell.runtime import PassReport

__all__ = ["sync"]


@click.group(invoke_without_command=True)
@click.option("--tenant", metavar="NAME", help="Only this tenant. [default: all of them]")
@click.option("--once", is_flag=True, help="Make one pass and end; this is what happens anyway.")
@json_option
@pass_invocation
@click.pass_context
def sync(context: click.Context, invocation: Invocation, tenant: str | None, once: bool) -> int:
    """Bring the queues together once; list and accept drift.

    Polls every source, matches what changed and writes what follows. `quell up` goes on doing it.
    Exits with 4 when a source could not be polled.
    """
    if context.invoked_subcommand is not None:
        return ExitCode.DONE
    reports: dict[str, PassReport] = {}
    with invocation.runtime() as runtime, progress() as display:
        names = [runtime.tenant(tenant).id] if tenant else list(runtime.tenants)
        if not names:
            runtime.settings.tenant()
        for name in names:
            display.add_task(f"bringing {name} together")
            reports[name] = runtime.run(runtime.tenants[name].pass_once())
    show([_row(name, report) for name, report in reports.items()], COLUMNS)
    problems = [problem for report in reports.values() for problem in report.problems]
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    return ExitCode.CONNECTION if problems else ExitCode.DONE


#: columns of the report
COLUMNS = ("tenant", "polled", "changed", "started", "written", "problems")


def _row(name: str, report: PassReport) -> dict[str, Any]:
    return {
        "tenant": name,
        "polled": report.polled,
        "changed": report.changed,
        "started": report.started,
        "written": report.written,
        "problems": list(report.problems),
    }


@sync.command()
@tenant_option
@json_option
@pass_invocation
def drift(invocation: Invocation, tenant: str | None) -> int:
    """List what differed when copies were first met; nothing of it is written before it is accepted.

    Exits with 1 when there is any.
    """
    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        found = runtime.run(chosen.sync.drift())
    rows = [
        {
            "incident": one.incident_id,
            "source": one.source_id,
            "native_id": one.native_id,
            "field": one.field,
            "ours": one.ours,
            "theirs": one.theirs,
            "settled": one.settled,
        }
        for one in found
    ]
    show(rows, ("incident", "source", "field", "ours", "theirs", "settled"), empty="no drift")
    return ExitCode.NO if rows else ExitCode.DONE


@sync.command()
@click.option("--source", metavar="ID", help="Only drift of this source.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@tenant_option
@json_option
@pass_invocation
def accept(invocation: Invocation, source: str | None, yes: bool, tenant: str | None) -> None:
    """Accept drift: from now on, both sides are written to."""
    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        if not yes:
            click.confirm(f"Let both sides of {chosen.id} be written to?", abort=True, err=True)
        count = runtime.run(
            chosen.sync.accept(SourceId(source) if source else None, invocation.person)
        )
    say(f"accepted {count}; the next pass writes them", accepted=count)


@sync.command()
@tenant_option
@json_option
@pass_invocation
def compare(invocation: Invocation, tenant: str | None) -> int:
    """Read both queues afresh and compare them field by field; exits with 1 when they disagree."""
    import msgspec

    with invocation.runtime() as runtime, progress() as display:
        display.add_task("reading both queues")
        chosen = runtime.tenant(tenant)
        comparison = runtime.run(chosen.sync.compare())
    rows: list[dict[str, Any]] = [msgspec.structs.asdict(one) for one in comparison.disagreements]
    show(rows, tuple(rows[0]) if rows else (), empty="both queues agree")
    return ExitCode.NO if rows else ExitCode.DONE


@sync.command()
@tenant_option
@json_option
@pass_invocation
def status(invocation: Invocation, tenant: str | None) -> int:
    """Show how far each source has been read, and which incidents could not be.

    Exits with 1 when a source's last poll failed or an incident is parked.
    """
    from quell.journal import cursors

    with invocation.runtime() as runtime:
        chosen, ask = runtime.tenant(tenant), runtime.journal.ask_now
        found = [ask(cursors.get(chosen.id, source.source_id)) for source, _ in chosen.sources]
        parked = ask(cursors.listed_items(chosen.id))
    rows: list[dict[str, Any]] = [
        {
            "source": one.source_id,
            "polled_at": one.polled_at,
            "succeeded_at": one.succeeded_at,
            "problem": one.error,
            "parked": [
                f"{item.native_id}: {item.reason}"
                for item in parked
                if item.source_id == one.source_id
            ],
        }
        for one in found
    ]
    show(rows, ("source", "polled_at", "succeeded_at", "problem", "parked"), empty="no sources")
    is_good = not parked and not any(row["problem"] for row in rows)
    return ExitCode.DONE if is_good else ExitCode.NO
