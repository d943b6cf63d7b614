"""`quell act`: one action on one entity, by a person, the whole way with the guard."""

from __future__ import annotations

from typing import Any

import click

from quell.cli.effects import exit_code_of_effects, show_effects
from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.output import json_option, progress
from quell.cli.tenants import tenant_option

__all__ = ["act"]


@click.command()
@click.argument("action")
@click.argument("target")
@click.option("--reason", required=True, help="Why, for the record.")
@click.option("--system", metavar="NAME", help="Which implementation, where there are several.")
@click.option(
    "--with", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the action."
)
@click.option("--kind", metavar="KIND", help="Kind of the target. [default: first half of ACTION]")
@click.option("--dry", is_flag=True, help="Do nothing above a comment.")
@tenant_option
@json_option
@pass_invocation
def act(
    invocation: Invocation,
    action: str,
    target: str,
    reason: str,
    system: str | None,
    params: tuple[str, ...],
    kind: str | None,
    dry: bool,
    tenant: str | None,
) -> int:
    """Do one action to one entity, guarded like a playbook's.

    TARGET is any name of the entity: a host name, a sign-in name, an id. Exits with 1 when it
    failed or is unclear, and with 6 when it was refused or waits for an approval.
    """
    from quell.engine import ActRequest

    request = ActRequest(
        action=action,
        kind=kind or action.partition(".")[0],
        target=target,
        by=invocation.person,
        reason=reason,
        system=system,
        params=_read_params(params),
        is_dry=dry,
    )
    with invocation.runtime() as runtime, progress() as display:
        display.add_task(f"{action} on {target}")
        reports = runtime.run(runtime.tenant(tenant).engine.act(request))
    show_effects(reports)
    return exit_code_of_effects(reports)


def _read_params(params: tuple[str, ...]) -> dict[str, Any]:
    pairs = [param.partition("=") for param in params]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise click.BadParameter("is written NAME=VALUE", param_hint="--with")
    return {name: value for name, _, value in pairs}
