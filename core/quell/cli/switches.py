"""`quell arm`, `disarm`, `halt` and `resume`: the brake."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.output import json_option, say
from quell.cli.tenants import tenant_option

if TYPE_CHECKING:
    from quell.runtime import TenantRuntime

__all__ = ["arm", "disarm", "halt", "resume"]

reason_option = click.option("--reason", required=True, help="Why, for the record.")


@click.command()
@tenant_option
@reason_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_invocation
def arm(invocation: Invocation, tenant: str | None, reason: str, yes: bool) -> None:
    """Let effects happen on a tenant.

    Until then playbooks run there, and everything above a comment is denied. The guard still
    asks, protects and counts.
    """
    from quell.journal import switches

    def confirm(chosen: TenantRuntime) -> None:
        if not yes:
            click.confirm(f"Let effects happen on tenant {chosen.id}?", abort=True, err=True)

    _turn(invocation, tenant, switches.arm, reason, "armed", confirm)


@click.command()
@tenant_option
@reason_option
@json_option
@pass_invocation
def disarm(invocation: Invocation, tenant: str | None, reason: str) -> None:
    """Let no effect happen on a tenant; taking back goes on."""
    from quell.journal import switches

    _turn(invocation, tenant, switches.disarm, reason, "disarmed")


@click.command()
@click.option("--tenant", metavar="NAME", help="Only this tenant. [default: all of them]")
@reason_option
@json_option
@pass_invocation
def halt(invocation: Invocation, tenant: str | None, reason: str) -> None:
    """Stop containment, denial and remediation at once; taking back goes on."""
    from quell.journal import switches

    _turn(invocation, tenant, switches.halt, reason, "halted", covers_all=True)


@click.command()
@click.option("--tenant", metavar="NAME", help="Only this tenant. [default: all of them]")
@reason_option
@json_option
@pass_invocation
def resume(invocation: Invocation, tenant: str | None, reason: str) -> None:
    """Go on after a halt."""
    from quell.journal import switches

    _turn(invocation, tenant, switches.resume, reason, "resumed", covers_all=True)


def _turn(
    invocation: Invocation,
    tenant: str | None,
    make: Callable[..., Any],
    reason: str,
    done: str,
    confirm: Callable[[TenantRuntime], None] = lambda chosen: None,
    *,
    covers_all: bool = False,
) -> None:
    with invocation.runtime() as runtime:
        everyone = list(runtime.tenants.values())
        chosen = everyone if covers_all and tenant is None else [runtime.tenant(tenant)]
        for one in chosen:
            confirm(one)
            write = make(one.id, by=invocation.person, reason=reason, chain=runtime.worker_id)
            runtime.journal.commit_now(write)
    names = [str(one.id) for one in chosen]
    say(f"{done}: {', '.join(names) or 'no tenant is configured'}", state=done, tenants=names)
