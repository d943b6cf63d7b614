"""`quell sync drift` and `mode`: what would be written where, and how copies are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.outcome import ExitCode
from quell.cli.output import json_option, say, show
from quell.cli.tenants import tenant_option
from quell.domain.ids import SourceId
from quell.errors import NotFoundError

if TYPE_CHECKING:
    from quell.sync import Drift, HeldWrite

__all__ = ["drift", "mode"]

DRIFT = (
    "incident",
    "source",
    "native_id",
    "kind",
    "field",
    "ours",
    "theirs",
    "would_write",
    "waits_for",
)
NOT_READ = "nothing was read yet: `quell sync` reads both queues"
MODES = ("source", "mode", "set_by", "why", "since", "doubt")


@click.command()
@tenant_option
@json_option
@pass_invocation
def drift(invocation: Invocation, tenant: str | None) -> int:
    """List what differs, and what would be written where: a dry run that asks no product.

    Differences found when copies were first met wait for `quell sync accept`; other writes say
    what they wait for. Exits with 1 when there is anything.
    """
    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        differing = runtime.run(chosen.sync.drift())
        held = runtime.run(chosen.sync.held())
        is_read = any(one.polled_at for one in runtime.run(chosen.sync.status()))
    rows = [_differing(one) for one in differing]
    rows += [row for one in held for row in _written(one)]
    show(rows, DRIFT, empty="no drift" if is_read else NOT_READ)
    return ExitCode.NO if rows else ExitCode.DONE


def _differing(one: Drift) -> dict[str, Any]:
    return {
        "kind": "differs",
        "incident": one.incident_id,
        "source": one.source_id,
        "native_id": one.native_id,
        "field": one.field,
        "ours": one.ours,
        "theirs": one.theirs,
        "settled": one.settled,
    }


def _written(one: HeldWrite) -> Iterator[dict[str, Any]]:
    place = {"incident": one.incident_id, "source": one.source_id, "native_id": one.native_id}
    for name, value in one.what.items():
        yield {
            "kind": one.kind,
            **place,
            "field": name,
            "would_write": value,
            "waits_for": one.waits_for,
        }


@click.command()
@click.argument("source", required=False)
@click.argument("to", required=False, type=click.Choice(["overlay", "replica"]))
@click.option("--yes", is_flag=True, help="Do not ask.")
@tenant_option
@json_option
@pass_invocation
def mode(
    invocation: Invocation,
    source: str | None,
    to: Literal["overlay", "replica"] | None,
    yes: bool,
    tenant: str | None,
) -> None:
    """Show in which mode copies are made, and why; with SOURCE and a mode, switch it.

    In `overlay` the product's own connector makes the copies and quell fills in what is missing;
    in `replica` quell makes them. A switch loses nothing and makes nothing twice.
    """
    if source is not None and to is None:
        raise click.UsageError("Say which mode: overlay or replica.")
    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        if source is None or to is None:
            rows = [_mode_row(one) for one in runtime.run(chosen.sync.modes())]
            show(rows, MODES, empty="no source that copies are made in")
            return
        _check_mirror(source, [one.source_id for one in runtime.run(chosen.sync.modes())])
        if not yes:
            click.confirm(f"Switch {source} of {chosen.id} to {to}?", abort=True, err=True)
        switching = chosen.sync.switch_mode(SourceId(source), to, invocation.person)
        count = runtime.run(switching)
    say(f"{source} is in {to} now; {count} incidents have writes planned", planned=count)


def _check_mirror(source: str, known: Sequence[SourceId]) -> None:
    """Raise NotFoundError where no copies are made in what has that name."""
    if source not in known:
        raise NotFoundError(
            what="source that copies are made in",
            name=source,
            remedy=f"There are: {', '.join(known) or 'none'}.",
        )


def _mode_row(one: Any) -> dict[str, Any]:
    return {
        "source": one.source_id,
        "mode": one.mode or "not settled",
        "set_by": one.by,
        "why": one.reason,
        "since": one.at,
        "doubt": one.doubt,
    }
