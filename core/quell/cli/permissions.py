"""`quell permissions`: what each identity must be granted, and no more."""

from __future__ import annotations

from typing import Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.output import json_option, show

__all__ = ["permissions"]


@click.command()
@click.option("--identity", metavar="NAME", help="Only this identity: reader, sync, device, …")
@json_option
@pass_invocation
def permissions(invocation: Invocation, identity: str | None) -> None:
    """List the permissions that each identity must be granted.

    They are those that enabled sources, tables of events, actions and look-ups declare.
    """
    registry = invocation.registry()
    needs: dict[tuple[str, str], list[str]] = {}
    for action in registry.actions:
        for permission in action.permissions:
            needs.setdefault((action.identity, permission), []).append(action.name)
    for resolver in registry.resolvers:
        purpose = f"looking up a {resolver.target.__name__}"
        for permission in resolver.permissions:
            needs.setdefault((resolver.identity, permission), []).append(purpose)
    for grant in (
        *(grant for spec in registry.sources for grant in spec.grants),
        *(grant for spec in registry.event_sources for grant in spec.grants),
        *(grant for spec in registry.event_sinks for grant in spec.grants),
    ):
        needs.setdefault((grant.identity, grant.permission), []).append(grant.purpose)
    rows: list[dict[str, Any]] = [
        {"identity": owner, "permission": permission, "for": sorted(set(purposes))}
        for (owner, permission), purposes in sorted(needs.items())
        if identity in {None, owner}
    ]
    show(rows, ("identity", "permission", "for"), empty="nothing is needed")
