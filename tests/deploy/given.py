"""What deployment files may refer to: metrics, settings and commands, as the code has them."""

from __future__ import annotations

import re
from pathlib import Path

import click
from celery.bin.worker import worker as celery_worker

from quell.cli.program import program
from quell.meters import COUNTERS, SPREADS
from quell.plugins import Lock, list_plugins, load_plugins
from quell.settings import declared_rows
from quell.telemetry.gauges import GAUGES

__all__ = ["DEPLOY", "ROOT", "check_command", "check_promql", "exposed", "quell_variables"]

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
#: labels that come from the scrape, and the one of histograms
OF_PROMETHEUS = {"instance", "job", "le"}


def exposed() -> dict[str, set[str]]:
    """Give every series that a process of quell shows, with its labels."""
    names = {gauge.name: set(gauge.labels) for gauge in GAUGES}
    names |= {f"{counter.name}_total": set(counter.labels) for counter in COUNTERS}
    for spread in SPREADS:
        for part in ("bucket", "sum", "count"):
            names[f"{spread.name}_{part}"] = {*spread.labels, "le"}
    return names


def check_promql(expression: str) -> None:
    """Make sure that an expression asks for series and labels that there are."""
    known = exposed()
    used = re.findall(r"\b(quell_\w+)(?:\{([^}]*)\})?", expression)
    allowed = set(OF_PROMETHEUS)
    for name, selector in used:
        assert name in known, f"{name} in: {expression}"
        chosen = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
        assert chosen <= known[name] | OF_PROMETHEUS, f"{chosen - known[name]} in: {expression}"
        allowed |= known[name]
    for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
        labels = {label.strip() for label in grouped.split(",")}
        assert labels <= allowed, f"{labels - allowed} in: {expression}"


def quell_variables() -> set[str]:
    """List the environment variables that settings can be given by."""
    bundled = [one for one in list_plugins() if one.is_bundled]
    registry = load_plugins(Lock(Path("plugins.lock")), bundled)
    names = (row.name for row in declared_rows(registry.sections))
    return {f"QUELL__{name.upper().replace('.', '__')}" for name in names} | {"QUELL_CONFIG"}


def check_command(words: list[str]) -> None:
    """Make sure that a command line of quell can be read; raises what the command line would."""
    command: click.Command = program
    while isinstance(command, click.Group):
        context = click.Context(command)
        parser = command.make_parser(context)
        parser.allow_interspersed_args = False
        _, words, _ = parser.parse_args(list(words))
        if not words:
            return
        found = command.get_command(context, words[0])
        assert found is not None, f"no command {words[0]!r}"
        command, words = found, words[1:]
    if command.name == "worker":
        command = celery_worker  # whose options are passed on as they are
    command.make_parser(click.Context(command)).parse_args(list(words))
