"""`quell actions`: what playbooks and `quell act` can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.output import json_option, show, show_parts
from quell.errors import NotFoundError

if TYPE_CHECKING:
    from quell.domain.action import Action

__all__ = ["actions"]


@click.group(invoke_without_command=True)
@json_option
@pass_invocation
@click.pass_context
def actions(context: click.Context, invocation: Invocation) -> None:
    """List what playbooks and `quell act` can do; show one action."""
    if context.invoked_subcommand is not None:
        return
    rows = [_row(one) for one in sorted(invocation.full_registry().actions, key=_order)]
    show(rows, ("action", "system", "effect", "acts_on", "taken_back_by", "summary"))


@actions.command("show")
@click.argument("name")
@json_option
@pass_invocation
def show_command(invocation: Invocation, name: str) -> None:
    """Show an action: its parameters, permissions and reversal, for each system that offers it."""
    registry = invocation.full_registry()
    found = registry.find_actions(name)
    if not found:
        known = ", ".join(sorted({one.name for one in registry.actions}))
        raise NotFoundError(what="action", name=name, remedy=f"Known are: {known}.")
    if invocation.as_json:
        whole = [{**_row(one), "parameters": list(_parameters(one))} for one in found]
        show(whole, ())
        return
    columns = ("parameter", "type", "default", "meaning")
    for action in found:
        show_parts(_row(action), {"parameters": (list(_parameters(action)), columns)})


def _order(action: Action) -> tuple[str, str]:
    return action.name, action.system


def _row(action: Action) -> dict[str, Any]:
    return {
        "action": action.name,
        "system": action.system,
        "effect": action.effect.value,
        "acts_on": action.target.__name__ if action.target else "incident",
        "summary": action.summary,
        "taken_back_by": action.reversal or "",
        "makes": action.makes or "",
        "identity": action.identity,
        "permissions": list(action.permissions),
        "batch": action.batch,
        "repeatable": action.is_idempotent,
        "docs": action.docs,
    }


def _parameters(action: Action) -> Iterator[dict[str, Any]]:
    from quell.settings import rows_of

    for row in rows_of(action.params):
        yield {
            "parameter": row.name,
            "type": row.type,
            "default": row.default,
            "meaning": row.text,
        }
