"""`quell conflicts`: where copies disagreed and something had to give way; a person settles it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.lookup import the_incident
from quell.cli.outcome import ExitCode
from quell.cli.output import json_option, say, show, show_parts, to_json
from quell.cli.tenants import tenant_option
from quell.domain.fields import SHARED
from quell.errors import NotFoundError, StateError

if TYPE_CHECKING:
    from quell.domain.ids import TenantId
    from quell.journal import Journal
    from quell.journal.conflicts import ConflictRow
    from quell.runtime import Runtime, TenantRuntime

__all__ = ["conflicts"]

#: what each kind means, in a sentence
MEANINGS = {
    "both_changed": "Two sides changed the field before either had seen the other's value.",
    "possible_overwrite": "The copy changed between our read and our write, which may have gone "
    "over more than is seen here.",
    "first_contact": "A copy differed when it was first met, and one side's value gave way.",
    "unpaired": "A copy says that it mirrors an incident, and nothing else confirms it; or an "
    "incident has two copies in one place.",
    "merge_circle": "The product says that incidents were merged in a circle.",
}


@click.group(invoke_without_command=True)
@click.option("--incident", metavar="INCIDENT", help="Only those of one incident.")
@click.option("--all", "show_all", is_flag=True, help="Show settled ones too.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@tenant_option
@json_option
@pass_invocation
@click.pass_context
def conflicts(
    context: click.Context,
    invocation: Invocation,
    incident: str | None,
    show_all: bool,
    limit: int,
    tenant: str | None,
) -> int:
    """List where copies disagreed, open ones first; settle one.

    Exits with 1 when any is open.
    """
    if context.invoked_subcommand is not None:
        return ExitCode.DONE
    from quell.journal import conflicts as journal_conflicts

    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant).id
        incident_id = the_incident(runtime.journal, chosen, incident) if incident else None
        question = journal_conflicts.listed(
            chosen, incident_id, is_open=None if show_all else True, limit=limit
        )
        found = runtime.journal.ask_now(question)
    rows = [_row(one) for one in found]
    columns = ("id", "at", "incident", "field", "kind", "won", "settled_by")
    show(rows, columns if show_all else columns[:-1], empty="no conflicts")
    return ExitCode.NO if any(one.settled_at is None for one in found) else ExitCode.DONE


@conflicts.command("show")
@click.argument("conflict")
@tenant_option
@json_option
@pass_invocation
def show_command(invocation: Invocation, conflict: str, tenant: str | None) -> None:
    """Show a conflict: each side's value, what it was before, who set it and when.

    CONFLICT is its id or the beginning of it.
    """
    with invocation.runtime() as runtime:
        found = _the_conflict(runtime.journal, runtime.tenant(tenant).id, conflict)
    sides = [_shown(side) for side in _sides(found)]
    rest = {name: value for name, value in found.body.items() if name not in {"sides", "won"}}
    show_parts(
        {**_row(found), "means": MEANINGS.get(found.kind, ""), **rest},
        {"sides": (sides, ("source", "value", "shadow", "by", "since", "after"))} if sides else {},
    )


@conflicts.command()
@click.argument("conflict")
@click.option("--take", metavar="SOURCE", help="Write the value that this side had.")
@click.option("--value", metavar="JSON", help="Write this value instead.")
@click.option("--yes", is_flag=True, help="Do not ask before writing.")
@tenant_option
@json_option
@pass_invocation
def resolve(
    invocation: Invocation,
    conflict: str,
    take: str | None,
    value: str | None,
    yes: bool,
    tenant: str | None,
) -> int:
    """Settle a conflict: keep what won, or write another value to every copy.

    Without --take and --value, what stands now is kept. Exits with 6 when it could not be written.
    """
    if take is not None and value is not None:
        raise click.UsageError("--take and --value exclude each other.")
    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        found = _the_conflict(runtime.journal, chosen.id, conflict)
        if found.settled_at is not None:
            raise StateError(
                what=f"Conflict {found.id}",
                problem=f"was settled by {found.settled_by}",
                remedy="Nothing to do; `quell incidents show` shows the value that stands.",
            )
        if take is not None or value is not None:
            wanted = _value_of(found, take) if take is not None else _read(value or "")
            if not yes:
                question = f"Write {to_json(wanted)} as {found.field} to every copy?"
                click.confirm(question, abort=True, err=True)
            _write(runtime, chosen, found, wanted)
        choice = f"took {take}" if take else "another value" if value is not None else "kept"
        _settle(invocation, runtime, chosen.id, found, choice)
    say(f"settled: {choice}", conflict=found.id, incident=found.incident_id, choice=choice)
    return ExitCode.DONE


def _row(row: ConflictRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": row.at,
        "incident": row.incident_id,
        "field": row.field,
        "kind": row.kind,
        "won": row.body.get("won"),
        "settled_at": row.settled_at,
        "settled_by": row.settled_by,
        "body": row.body,
    }


def _sides(row: ConflictRow) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", row.body.get("sides", []))


def _shown(side: dict[str, Any]) -> dict[str, Any]:
    return {"by": "", **side, "source": side.get("source") or side.get("system") or "quell"}


def _the_conflict(journal: Journal, tenant_id: TenantId, text: str) -> ConflictRow:
    from quell.journal import conflicts as journal_conflicts

    found = journal.ask_now(journal_conflicts.find(tenant_id, text))
    if not found:
        raise NotFoundError(
            what="conflict", name=text, remedy="List them: `quell conflicts --all`."
        )
    if len(found) > 1:
        raise StateError(
            what=f"Conflict {text!r}",
            problem=f"could be any of {', '.join(sorted(one.id for one in found))}",
            remedy="Name one of these ids.",
        )
    return found[0]


def _value_of(row: ConflictRow, name: str) -> Any:
    """Give the value that one side had."""
    sides = [_shown(side) for side in _sides(row)]
    fitting = [one for one in sides if name in {one["source"], one.get("system")}]
    if len(fitting) != 1:
        names = ", ".join(sorted({str(one["source"]) for one in sides})) or "none"
        raise click.UsageError(f"{name!r} is not one side of this conflict; sides: {names}.")
    return fitting[0].get("value")


def _read(text: str) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise click.UsageError(
            f"--value is not JSON ({error}); a text needs quotes: '\"high\"'."
        ) from None


def _write(runtime: Runtime, tenant: TenantRuntime, row: ConflictRow, value: Any) -> None:
    """Write a value through the one writer. Raises StateError where it is refused."""
    import uuid

    from quell.domain.outcome import Failed

    if row.field not in SHARED:
        raise click.UsageError(f"{row.field} is no field that could be written.")
    # another try is another write: one that broke off may have wanted another value
    key = f"conflict/{row.id}/{uuid.uuid4().hex}"
    outcome = runtime.run(
        tenant.sync.desk.update(row.incident_id, {row.field: value}, key=key, run_id=None)
    )
    if isinstance(outcome, Failed):
        raise StateError(
            what=f"{row.field} of incident {row.incident_id}",
            problem=f"could not be written: {outcome.reason}",
            remedy=outcome.remedy or "Mend that and run the command again.",
        )


def _settle(
    invocation: Invocation, runtime: Runtime, tenant_id: TenantId, row: ConflictRow, choice: str
) -> None:
    from quell.journal import conflicts as journal_conflicts

    write = journal_conflicts.settle(
        tenant_id, row.id, invocation.person, choice=choice, chain=runtime.worker_id
    )
    runtime.journal.commit_now(write)
