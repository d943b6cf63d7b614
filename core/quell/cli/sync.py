"""`quell sync`: bring the queues together once; list and accept drift; compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.outcome import ExitCode
from quell.cli.output import complain, json_option, progress, say, show
from quell.cli.parked import parked, retry
from quell.cli.reading import backfill, check_source, status
from quell.cli.sync_drift import drift, mode
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
    complain(problems)
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


sync.add_command(drift)
sync.add_command(mode)


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
        check_source(chosen, source)
        if not yes:
            click.confirm(f"Let both sides of {chosen.id} be written to?", abort=True, err=True)
        count = runtime.run(
            chosen.sync.accept(SourceId(source) if source else None, invocation.person)
        )
    text = f"incidents accepted: {count}; the next pass writes them"
    say(text if count else "nothing differed; both sides may be written to now", accepted=count)


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


sync.add_command(backfill)
sync.add_command(status)
sync.add_command(parked)
sync.add_command(retry)
