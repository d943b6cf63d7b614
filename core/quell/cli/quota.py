"""`quell quota`: how many calls each product still allows, class by class."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.output import json_option, show
from quell.cli.tenants import tenant_option

if TYPE_CHECKING:
    from quell.quota import ClassState
    from quell.runtime import Runtime, TenantRuntime

__all__ = ["quota"]

#: an older picture is of a process that is gone
FRESH = timedelta(seconds=20)


@click.command()
@tenant_option
@click.option("--all", "everything", is_flag=True, help="Also classes that nothing was asked of.")
@json_option
@pass_invocation
def quota(invocation: Invocation, tenant: str | None, everything: bool) -> None:
    """Show how many calls each product still allows.

    `left for sync` and `left for containment` are calls that could be sent at this moment: the
    difference is kept for containment. In a fleet the figures are everybody's; on one host they
    are those of the process that runs there, up to five seconds old.
    """
    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        states, is_live = _states(runtime, chosen)
    if not is_live:
        click.echo(
            "no process is at work on this host: nothing is used, and this is what may be", err=True
        )
    rows = [_row(state) for state in states if everything or not is_live or state.is_used]
    show(rows, COLUMNS, empty="nothing is used")


#: columns for people
COLUMNS = (
    "api",
    "class",
    "documented",
    "left_for_sync",
    "left_for_containment",
    "paused_for",
    "waiting",
)


def _states(runtime: Runtime, chosen: TenantRuntime) -> tuple[list[ClassState], bool]:
    from quell.runtime import read_board

    if runtime.settings.redis_url is not None:
        return runtime.run(chosen.quota.states()), True
    board = read_board(runtime.settings.state_dir)
    if board is not None and runtime.clock.now() - board.at < FRESH and chosen.id in board.tenants:
        return board.tenants[chosen.id], True
    return runtime.run(chosen.quota.states()), False


def _row(state: ClassState) -> dict[str, Any]:
    return {
        "api": state.api,
        "class": state.name,
        "documented": f"{state.calls} in {state.seconds:g} s",
        "calls": state.calls,
        "seconds": state.seconds,
        "scale": state.scale,
        "left_for_sync": state.left_for_sync,
        "left_for_containment": state.left_for_containment,
        "paused_for": round(state.paused_for, 1),
        "waiting": state.waiting,
    }
