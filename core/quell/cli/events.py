"""`quell events`: which tables are streamed, how far each has come, and what was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.outcome import ExitCode
from quell.cli.output import complain, json_option, progress, say, show
from quell.cli.tenants import tenant_option
from quell.errors import NotFoundError, QuellError, StateError

if TYPE_CHECKING:
    from quell.runtime.tenant import TenantRuntime

__all__ = ["events"]

NO_TABLE = "no table is chosen; see `events.tables` in the settings"
NOTHING_REFUSED = "nothing was refused"

stream_option = click.option(
    "--stream", metavar="NAME", help="Only this stream, as `quell events status` shows it."
)


@click.group()
def events() -> None:
    """Stream alerts, evidence and raw tables; show how far each has come."""


@events.command()
@json_option
@pass_invocation
def tables(invocation: Invocation) -> None:
    """List every table that can be streamed, with its group."""
    rows: list[dict[str, Any]] = [
        {
            "table": table.name,
            "group": table.group,
            "read_by": table.time,
            "columns": dict(table.columns) if invocation.as_json else len(table.columns),
            "summary": table.summary,
        }
        for table in invocation.event_tables()
    ]
    show(rows, ("table", "group", "columns", "summary"), empty="no plugin offers any")


@events.command()
@tenant_option
@json_option
@pass_invocation
def status(invocation: Invocation, tenant: str | None) -> int:
    """Show how far each chosen table has been read, and what waits to be taken in.

    Exits with 1 when a table could not be read or something was refused.
    """
    import msgspec

    with invocation.runtime() as runtime:
        found = runtime.run(runtime.tenant(tenant).streams.status())
    rows: list[dict[str, Any]] = [msgspec.structs.asdict(one) for one in found]
    show(rows, STATUS, empty=NO_TABLE)
    is_good = not any(one.problem or one.parked_batches for one in found)
    return ExitCode.DONE if is_good else ExitCode.NO


#: columns of the status
STATUS = (
    "table",
    "sink_id",
    "stream",
    "read_until",
    "lag_seconds",
    "waiting_batches",
    "waiting_bytes",
    "parked_batches",
    "problem",
)


@events.command()
@tenant_option
@json_option
@pass_invocation
def send(invocation: Invocation, tenant: str | None) -> int:
    """Read every chosen table once and send what waits. `quell up` goes on doing it.

    Exits with 4 when a table could not be read or a batch was not taken.
    """
    with invocation.runtime() as runtime, progress() as display:
        display.add_task("streaming events")
        rows, problems = runtime.run(_pass(runtime.tenant(tenant)))
    show(rows, ("what", "rows", "batches", "held"), empty=NO_TABLE)
    complain(problems)
    return ExitCode.CONNECTION if problems else ExitCode.DONE


async def _pass(tenant: TenantRuntime) -> tuple[list[dict[str, Any]], list[str]]:
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    for reader in tenant.streams.readers:
        try:
            read = await tenant.streams.read(reader)
        except StateError:
            # `quell up` reads it at this moment, and is not to be told of as a fault
            rows.append(_row(f"{reader.table.name}: another process reads it", 0, 0))
            continue
        except QuellError as error:
            problems.append(f"{reader.table.name}: {error}. {error.remedy}")
            continue
        problems += [f"{reader.table.name}: {one}" for one in read.unreadable.values()]
        rows.append(_row(f"read {reader.table.name}", read.rows, read.batches, read.is_held))
    for sender in tenant.streams.senders:
        sent = await tenant.streams.send(sender)
        problems += sent.problems
        if not tenant.streams.readers and not sent.rows:
            continue
        rows.append(_row(f"sent to {sender.sink.sink_id}", sent.rows, sent.batches))
    return rows, problems


def _row(what: str, rows: int, batches: int, is_held: bool = False) -> dict[str, Any]:
    return {"what": what, "rows": rows, "batches": batches, "held": is_held}


@events.command()
@stream_option
@tenant_option
@json_option
@pass_invocation
def retry(invocation: Invocation, stream: str | None, tenant: str | None) -> None:
    """Have refused batches tried again at once, after what was wrong has been mended."""
    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        runtime.run(_check_stream(chosen, stream))
        count = runtime.run(
            chosen.streams.retry(stream, by=invocation.person, chain=runtime.worker_id)
        )
    text = f"refused batches to be sent again with the next pass: {count}"
    say(text if count else NOTHING_REFUSED, batches=count)


@events.command()
@stream_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@tenant_option
@json_option
@pass_invocation
def drop(invocation: Invocation, stream: str | None, yes: bool, tenant: str | None) -> None:
    """Give refused batches up for good: their rows are not sent."""
    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        runtime.run(_check_stream(chosen, stream))
        if not yes:
            click.confirm(f"Give up the refused rows of {chosen.id}?", abort=True, err=True)
        count = runtime.run(
            chosen.streams.drop(stream, by=invocation.person, chain=runtime.worker_id)
        )
    say(f"batches given up: {count}" if count else NOTHING_REFUSED, batches=count)


async def _check_stream(tenant: TenantRuntime, stream: str | None) -> None:
    """Raise NotFoundError where no stream has that name."""
    if stream is None or stream in {one.stream for one in await tenant.streams.status()}:
        return
    raise NotFoundError(what="stream", name=stream, remedy="`quell events status` lists them.")
