"""A command group whose commands are imported only when one of them is run."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click

from quell.cli.invocation import Invocation
from quell.errors import PluginError

__all__ = ["LazyGroup", "Listed"]


class Listed(NamedTuple):
    """Where a command is, and what `--help` says of it."""

    module: str
    name: str
    summary: str


class LazyGroup(click.Group):
    """Knows its commands from a table, and plugins' from `plugins.lock` and bundled lists."""

    def __init__(self, *arguments: Any, table: Mapping[str, Listed], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names in the table's order, then those that plugins add."""
        return [*self._table, *sorted(set(_plugin_commands(ctx)) - set(self._table))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; the table wins over plugins."""
        listed = self._table.get(cmd_name)
        if listed is not None:
            module = importlib.import_module(f"quell.cli.{listed.module}")
            command: click.Command = getattr(module, listed.name)
            return command
        if cmd_name in _plugin_commands(ctx):
            return _load_command(ctx, cmd_name)
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without importing what is in it."""
        summaries = {name: listed.summary for name, listed in self._table.items()}
        added = _plugin_commands(ctx)
        with formatter.section("Commands"):
            formatter.write_dl([(name, summaries[name]) for name in self._table])
        rows = [(name, added[name]) for name in sorted(added) if name not in summaries]
        if rows:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(rows)


def _plugin_commands(ctx: click.Context) -> dict[str, str]:
    from quell.plugins import bundled_commands

    invocation = ctx.ensure_object(Invocation)
    # `--help` comes before the options are stored
    invocation.chosen_config = ctx.params.get("config_path") or invocation.chosen_config
    lock = invocation.lock()
    locked = {
        name: summary
        for entry in lock.entries.values()
        if entry.enabled
        for name, summary in entry.commands.items()
    }
    return locked | bundled_commands(lock)


def _load_command(ctx: click.Context, name: str) -> click.Command:
    lock = ctx.ensure_object(Invocation).lock()
    registry = ctx.ensure_object(Invocation).registry()
    if name in registry.commands:
        return registry.commands[name]
    owner = next((key for key, entry in lock.entries.items() if name in entry.commands), name)
    report = next((report for report in registry.plugins if report.name == owner), None)
    if report is None:
        raise PluginError(plugin=owner, distribution="quell", problem="lists a command it has not")
    raise PluginError(
        plugin=owner,
        distribution=report.distribution,
        problem=report.problem or f"no longer offers the command {name}",
    )
