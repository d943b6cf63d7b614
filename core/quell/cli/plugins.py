"""`quell plugins`: what is installed, what each offers, what is wrong, and enabling."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.outcome import ExitCode
from quell.cli.output import json_option, say, show, show_fields
from quell.errors import NotFoundError

if TYPE_CHECKING:
    from quell.plugins import PluginReport

__all__ = ["plugins"]


@click.group(invoke_without_command=True)
@json_option
@pass_invocation
@click.pass_context
def plugins(context: click.Context, invocation: Invocation) -> int:
    """List plugins; enable or disable one."""
    return _list(invocation) if context.invoked_subcommand is None else ExitCode.DONE


@plugins.command("list")
@json_option
@pass_invocation
def list_command(invocation: Invocation) -> int:
    """List installed plugins with version, offers and problems.

    Exits with 3 when a plugin is quarantined.
    """
    return _list(invocation)


def _list(invocation: Invocation) -> int:
    registry = invocation.registry()
    rows = [_row(report, invocation.as_json) for report in registry.plugins]
    show(rows, COLUMNS, empty="no plugin is installed")
    return ExitCode.SETTINGS if registry.has_quarantined else ExitCode.DONE


#: columns of the list
COLUMNS = ("name", "version", "distribution", "state", "offers", "problem")


def _row(report: PluginReport, as_json: bool) -> dict[str, Any]:
    if as_json:
        import msgspec

        return msgspec.structs.asdict(report)
    offers = ", ".join(f"{len(names)} {kind}" for kind, names in report.offers.items())
    problem = f"{report.problem}. {report.remedy}" if report.problem else ""
    return {
        "name": report.name,
        "version": report.version,
        "distribution": report.distribution,
        "state": report.state.value,
        "offers": offers,
        "problem": problem or (f"to use it: {report.remedy}" if report.remedy else ""),
    }


@plugins.command("show")
@click.argument("name")
@json_option
@pass_invocation
def show_command(invocation: Invocation, name: str) -> None:
    """Show one plugin and the name of everything that it offers."""
    reports = {report.name: report for report in invocation.registry().plugins}
    if name not in reports:
        raise _no_plugin(name, reports)
    report = reports[name]
    plain = {"state": report.state.value, "version": report.version}
    if invocation.as_json:
        show_fields(_row(report, True))
        return
    show_fields(
        {
            "name": name,
            "distribution": report.distribution,
            **plain,
            **{kind: ", ".join(names) for kind, names in report.offers.items()},
            "problem": report.problem,
            "remedy": report.remedy,
        }
    )


@plugins.command()
@click.argument("name")
@json_option
@pass_invocation
def enable(invocation: Invocation, name: str) -> None:
    """Enable a plugin: import it once, and record its version and the digest of its files.

    A plugin is trusted code: it runs in quell's own process.
    """
    from quell.plugins import enable as enable_plugin

    lock, offers = enable_plugin(name, invocation.lock())
    lock.write()
    counted = ", ".join(f"{len(items)} {kind}" for kind, items in offers.items() if items)
    say(f"enabled {name}: {counted or 'it offers nothing'}", name=name, enabled=True)


@plugins.command()
@click.argument("name")
@json_option
@pass_invocation
def disable(invocation: Invocation, name: str) -> None:
    """Disable a plugin: it is not imported any more."""
    from quell.plugins import LockEntry, list_plugins

    lock = invocation.lock()
    found = [plugin for plugin in list_plugins() if plugin.name == name]
    if not found and name not in lock.entries:
        raise _no_plugin(name, [plugin.name for plugin in list_plugins()])
    is_bundled = any(plugin.is_bundled for plugin in found)
    # what comes with quell is enabled unless the lock says otherwise
    changed = lock.deciding(name, LockEntry(enabled=False)) if is_bundled else lock.without(name)
    changed.write()
    say(f"disabled {name}", name=name, enabled=False)


def _no_plugin(name: str, known: Iterable[str]) -> NotFoundError:
    listed = ", ".join(sorted(known)) or "none"
    return NotFoundError(what="plugin", name=name, remedy=f"Installed are: {listed}.")
