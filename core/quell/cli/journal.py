"""`quell journal`: how large it is, what may go, and where that is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.moments import moment_of
from quell.cli.outcome import ExitCode
from quell.cli.output import complain, json_option, progress, say, show_parts

if TYPE_CHECKING:
    from quell.domain.ids import TenantId
    from quell.journal import Journal
    from quell.journal.pruning import Pruned, Removable

__all__ = ["journal"]

before_option = click.option(
    "--before",
    required=True,
    metavar="WHEN",
    help="What ended before a date, a time, or a span like 90d ago.",
)
tenant_option = click.option(
    "--tenant", metavar="NAME", help="Only this tenant. [default: all on record]"
)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def journal() -> None:
    """Show how large the journal is; archive and remove what ended long ago."""


@journal.command()
@click.option("--before", metavar="WHEN", default="90d", show_default=True,
              help="Count what a prune with this would remove.")  # fmt: skip
@json_option
@pass_invocation
def status(invocation: Invocation, before: str) -> None:
    """Show schema, size, rows, and what a prune would remove; counts everything."""
    from quell.journal import migrate, pruning, size

    with _opened(invocation) as opened:
        found = opened.ask_now(size.measure())
        moment = moment_of(before, opened.now(), "--before")
        removable = pruning.removable(opened, _tenants(opened, None), moment)
    fields = {
        "schema": found.schema,
        "open_to": "this release" if found.floor >= migrate.HEAD else "this release and the last",
        "megabytes": round(found.bytes / 1e6, 1),
        "oldest_run": found.oldest,
        **_prunable(removable, moment),
    }
    rows = [{"table": name, "rows": count} for name, count in found.rows.items() if count]
    show_parts(fields, {"tables": (rows, ("table", "rows"))})


@journal.command()
@before_option
@click.option("--to", "path", required=True, type=FILE, help="The archive; may not be there yet.")
@tenant_option
@json_option
@pass_invocation
def export(invocation: Invocation, before: str, path: Path, tenant: str | None) -> None:
    """Write finished runs and old audit records to an archive; removes nothing.

    The archive is JSON, one row per line, compressed with zstd. It has its name once it is whole.
    """
    with _opened(invocation) as opened:
        moment = moment_of(before, opened.now(), "--before")
        found = _find(opened, tenant, moment)
        rows = _archive(opened, found, path, moment)
    say(f"{sum(rows.values())} rows are in {path}", file=str(path), rows=rows)


@journal.command()
@before_option
@click.option("--archive", "path", type=FILE, help="Write all that goes to this file before.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@tenant_option
@json_option
@pass_invocation
def prune(
    invocation: Invocation, before: str, path: Path | None, dry_run: bool, tenant: str | None
) -> None:
    """Remove the details of runs that ended long ago.

    What is open, unclear, held or of an open incident stays, and so does what keeps anything from
    happening twice. Audit records are removed only with --archive.
    """
    with _opened(invocation) as opened:
        moment = moment_of(before, opened.now(), "--before")
        found = _find(opened, tenant, moment)
        if dry_run:
            fields = _prunable(found, moment)
            say(f"would remove the details of {found.run_count} runs", **fields)
            return
        rows = _archive(opened, found, path, moment) if path is not None else {}
        pruned = _prune(opened, found, moment, tenant, is_archived=path is not None)
        _record(invocation, opened, found, pruned, path)
    removed = {name: getattr(pruned, name) for name in pruned.__struct_fields__}
    text = f"removed the details of {pruned.runs} runs"
    if found.record_count and path is None:
        text += f"; {found.record_count} old audit records stay: they go only with --archive"
    say(text, removed=removed, archived=rows, file=str(path) if path is not None else None)


@journal.command()
@json_option
@pass_invocation
def upgrade(invocation: Invocation) -> None:
    """Say that no worker of the release before is left.

    The journal is then written as the release before cannot read it, which refuses to start there.
    Refused while a worker of an older release is on record.
    """
    from quell.journal import size

    with _opened(invocation) as opened:
        is_new = opened.commit_now(size.upgrade())
    text = (
        "the journal is this release's now" if is_new else "the journal was this release's already"
    )
    say(f"{text}; running workers use it so from their next start", changed=is_new)


@journal.command()
@click.option("--archive", "paths", multiple=True, type=FILE, help="Check what is in here too.")
@json_option
@pass_invocation
def verify(invocation: Invocation, paths: tuple[Path, ...]) -> int:
    """Check that no audit record was changed, removed or put in between.

    Where the beginning of a chain is in archives, give them all, to have it checked from its first
    record. Exits with 1 when something does not fit.
    """
    from quell.journal import verifying

    with _opened(invocation) as opened:
        report = verifying.verify(opened, paths)
    complain(report.problems)
    text = f"{report.records} records in {report.chains} chains fit"
    if report.unseen:
        text += f"; {report.unseen} before them are in archives that were not given"
    if not report.problems:
        say(text, records=report.records, chains=report.chains, unseen=report.unseen, problems=[])
    return ExitCode.NO if report.problems else ExitCode.DONE


@journal.command()
@click.argument("path", type=FILE)
@click.option("--run", "run_id", metavar="ID", help="Only this run's rows.")
@click.option("--table", metavar="NAME", help="Only rows of this table.")
def read(path: Path, run_id: str | None, table: str | None) -> None:
    """Print the rows of an archive, one JSON object per line."""
    import json

    from quell.journal.archive import read_archive

    for line in read_archive(path):
        row = line["row"]
        if table is not None and line["table"] != table:
            continue
        if run_id is not None and run_id not in {row.get("run_id"), row.get("id")}:
            continue
        # in ASCII: no character of an incident reaches the terminal as such
        click.echo(json.dumps(line))


@contextlib.contextmanager
def _opened(invocation: Invocation) -> Generator[Journal]:
    """Open the journal alone: nothing here needs a product."""
    from quell.journal import Journal
    from quell.runtime import log_to_stderr

    settings = invocation.settings(invocation.registry())
    log_to_stderr(settings)
    opened = Journal.open(settings.journal_url, create=False)
    try:
        yield opened
    finally:
        opened.close()


def _tenants(opened: Journal, tenant: str | None) -> list[TenantId]:
    from quell.domain.ids import TenantId
    from quell.journal import retention

    return [TenantId(tenant)] if tenant else opened.ask_now(retention.tenants())


def _find(opened: Journal, tenant: str | None, moment: datetime) -> Removable:
    from quell.journal import pruning

    with progress() as display:
        display.add_task("looking for what may go")
        return pruning.removable(opened, _tenants(opened, tenant), moment)


def _archive(opened: Journal, found: Removable, path: Path, moment: datetime) -> dict[str, int]:
    from quell.journal import pruning

    with progress(is_counted=True) as display:
        bar = display.add_task("archiving", total=found.run_count)
        return pruning.archive(
            opened, found, path, before=moment, tell=lambda done: display.advance(bar, done)
        )


def _prune(
    opened: Journal, found: Removable, moment: datetime, tenant: str | None, *, is_archived: bool
) -> Pruned:
    from quell.journal import pruning

    with progress(is_counted=True) as display:
        bar = display.add_task("removing", total=found.run_count)
        return pruning.prune(
            opened,
            _tenants(opened, tenant),
            found,
            before=moment,
            is_archived=is_archived,
            tell=lambda done: display.advance(bar, done),
        )


def _record(
    invocation: Invocation, opened: Journal, found: Removable, pruned: Pruned, path: Path | None
) -> None:
    """Put it on record who removed what, in each tenant that lost something."""
    import uuid

    from quell.journal import audit

    body = {"runs": pruned.runs, "records": pruned.records, "archive": path.name if path else ""}
    for tenant_id in sorted({*found.runs, *(part.tenant_id for part in found.chains)}):
        chain = f"prune-{uuid.uuid4().hex}"
        opened.commit_now(
            audit.record(
                tenant_id, chain, actor=invocation.person, action="journal.prune", body=body
            )
        )


def _prunable(found: Removable, moment: datetime) -> Mapping[str, Any]:
    return {
        "before": moment,
        "prunable_runs": found.run_count,
        "prunable_audit_records": found.record_count,
        "kept_runs": [f"{count}: {reason}" for reason, count in sorted(found.kept.items())],
    }
