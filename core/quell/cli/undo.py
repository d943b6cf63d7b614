"""`quell undo`: take back what a run or one effect did."""

from __future__ import annotations

import click

from quell.cli.effects import exit_code_of_effects, show_effects
from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.output import json_option, progress
from quell.cli.tenants import tenant_option

__all__ = ["undo"]


@click.command()
@click.argument("run_id", required=False)
@click.option("--effect", metavar="KEY", help="Only this effect, instead of a run.")
@click.option("--reason", default="", help="Why, for the record.")
@tenant_option
@json_option
@pass_invocation
def undo(
    invocation: Invocation, run_id: str | None, effect: str | None, reason: str, tenant: str | None
) -> int:
    """Take back what a run or an action did.

    Our holds go, and with the last hold the state. What others want to last, or made
    themselves, is kept and listed. Exits with 6 when something is kept or has to be asked.
    """
    from quell.domain.ids import RunId

    if (run_id is None) == (effect is None):
        raise click.UsageError("Name a run, or an effect with --effect.")
    with invocation.runtime() as runtime, progress() as display:
        display.add_task("taking back")
        reports = runtime.run(
            runtime.tenant(tenant).engine.take_back(
                by=invocation.person,
                run_id=RunId(run_id) if run_id else None,
                key=effect,
                reason=reason,
            )
        )
    show_effects(reports)
    return exit_code_of_effects(reports)
