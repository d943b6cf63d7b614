"""`quell sync status` and `quell sync backfill`: what has been read of each source, and the past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.moments import moment_of
from quell.cli.outcome import ExitCode
from quell.cli.output import complain, json_option, progress, show
from quell.cli.tenants import tenant_option
from quell.domain.ids import SourceId

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

    from quell.runtime import TenantRuntime
    from quell.sync import BackfillProgress, SourceStatus

__all__ = ["backfill", "check_source", "status"]

COLUMNS = (
    "source", "mode", "read_up_to", "lag", "since_success", "problem", "parked",
    "planned_writes", "parked_writes", "backfill",
)  # fmt: skip


@click.command()
@tenant_option
@json_option
@pass_invocation
def status(invocation: Invocation, tenant: str | None) -> int:
    """Show how far each source has been read, what waits, and what could not be read.

    `lag` says how many seconds the reading is behind, `since_success` when a poll last came to its
    end. Exits with 1 when a source's last poll failed or an incident is parked.
    """
    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        found = runtime.run(chosen.sync.status())
    show([_row(one) for one in found], COLUMNS, empty="no sources")
    return ExitCode.DONE if all(one.is_good for one in found) else ExitCode.NO


def _row(one: SourceStatus) -> dict[str, Any]:
    return {
        "source": one.source_id,
        "mode": one.mode,
        "read_up_to": one.read_up_to,
        "lag": one.lag,
        "polled_at": one.polled_at,
        "succeeded_at": one.succeeded_at,
        "since_success": one.since_success,
        "problem": one.problem,
        "swept_at": one.swept_at,
        "parked": [
            f"{item.native_id}: {item.reason} (try {item.tries + 1} at {item.retry_at:%F %TZ})"
            for item in one.parked
        ],
        "planned_writes": one.planned_writes,
        "parked_writes": one.parked_writes,
        "backfill": _progress(one.backfill),
    }


def _progress(state: BackfillProgress | None) -> str:
    if state is None:
        return ""
    count = f"{state.read} of {state.total}" if state.total is not None else str(state.read)
    span = f"{state.since:%F %TZ} to {state.until:%F %TZ}"
    return f"{count} incidents, {span}{'' if state.is_over else ', not finished'}"


@click.command()
@click.option("--since", required=True, metavar="WHEN", help="A date, a time, or a span like 14d.")
@click.option(
    "--until", metavar="WHEN", help="Where to end. [default: where the polls have got to]"
)
@click.option("--source", metavar="ID", help="Only this source. [default: all of them]")
@tenant_option
@json_option
@pass_invocation
def backfill(
    invocation: Invocation, since: str, until: str | None, source: str | None, tenant: str | None
) -> int:
    """Read what changed in a time gone by, beside the polls; it may be stopped and goes on later.

    WHEN is in UTC. What is found starts nothing above `annotate`. Exits with 4 when a source
    could not be read to the end: the same command goes on where it stopped.
    """
    from quell.errors import ConnectorError

    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        now = runtime.journal.now()
        begin = moment_of(since, now, "--since")
        end = moment_of(until, now, "--until") if until else None
        if begin >= (end or now):
            raise click.UsageError("--since must be before --until, and before now.")
        for source_id in _sources(chosen, source):
            try:
                with progress(is_counted=True) as display:
                    watch = _watch(display, source_id)
                    report = runtime.run(chosen.sync.backfill(source_id, begin, end, watch))
            except ConnectorError as error:
                problems.append(f"{source_id}: {error} {error.remedy}")
                continue
            rows.append(
                {
                    "source": source_id,
                    "incidents": report.incidents,
                    "changed": report.revisions,
                    "parked": [f"{name}: {why}" for name, why in report.parked.items()],
                }
            )
    show(rows, ("source", "incidents", "changed", "parked"), empty="no source was read")
    complain(problems)
    return ExitCode.CONNECTION if problems else ExitCode.DONE


def _watch(display: Progress, source_id: str) -> Callable[[BackfillProgress], None]:
    bar = display.add_task(f"reading {source_id}", total=None)

    def watch(state: BackfillProgress) -> None:
        text = f"reading {source_id}: {_progress(state)}"
        display.update(bar, description=text, completed=state.read, total=state.total)

    return watch


def check_source(tenant: TenantRuntime, source: str | None) -> None:
    """Raise a usage error where a tenant has no source of that name."""
    ids = [one.source_id for one, _ in tenant.sources]
    if source is not None and source not in ids:
        text = f"no source is called {source}; there are: {', '.join(ids) or 'none'}"
        raise click.BadParameter(text, param_hint="--source")


def _sources(tenant: TenantRuntime, source: str | None) -> list[SourceId]:
    check_source(tenant, source)
    return [SourceId(source)] if source else [one.source_id for one, _ in tenant.sources]
