"""`quell config`: which settings apply, where each comes from, and a file to begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.output import json_option, say, show
from quell.errors import StateError

__all__ = ["config"]


@click.group()
def config() -> None:
    """Show, check or begin the configuration."""


@config.command("show")
@click.option("--all", "show_all", is_flag=True, help="Show defaults too.")
@json_option
@pass_invocation
def show_command(invocation: Invocation, show_all: bool) -> None:
    """Show each setting, its value and where that comes from; secrets stay masked."""
    from quell.settings import shown_rows

    settings = invocation.settings(invocation.registry())
    rows: list[dict[str, Any]] = [
        {"name": row.name, "value": row.value, "from": row.origin, "type": row.type}
        for row in shown_rows(settings)
        if show_all or row.origin != "default"
    ]
    show(rows, ("name", "value", "from"), empty="everything is at its default; see --all")


@config.command()
@json_option
@pass_invocation
def check(invocation: Invocation) -> None:
    """Check the configuration without connecting anywhere."""
    from quell.stream import StreamPolicy, chosen_tables
    from quell.sync import Routes

    registry = invocation.registry()
    settings, tables = invocation.settings(registry), registry.event_tables()
    for name, tenant in settings.tenants.items():
        whens = [route.when for route in tenant.sync.routes]
        Routes.check(tenant.sync.filter, whens, f"tenant.{name}.sync")
        if not registry.has_quarantined:  # a plugin that is not there may have had the table
            chosen_tables(StreamPolicy(tables=tenant.events.tables), tables)
    for ignored in settings.ignored:
        click.echo(f"passed over: [{ignored}]; see `quell plugins`", err=True)
    tenants = sorted(settings.tenants)
    where = settings.path or "no file: defaults and environment only"
    text = f"{where}: good; tenants: {', '.join(tenants) or 'none'}"
    say(text, file=str(settings.path or ""), tenants=tenants, ignored=list(settings.ignored))


@config.command()
@json_option
@pass_invocation
def path(invocation: Invocation) -> None:
    """Tell which file is read."""
    found = invocation.config_path
    say(str(found or "no file: defaults and environment only"), file=str(found or ""))


@config.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("quell.toml"))
@click.option(
    "--simulated",
    "ready_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Ready file of a simulator: write a configuration for its tenant.",
)
@click.option("--time-scale", type=float, default=1.0, help="What the simulator was started with.")
@json_option
@pass_invocation
def init(invocation: Invocation, file: Path, ready_file: Path | None, time_scale: float) -> None:
    """Write a configuration in which every setting is explained and set to its default."""
    if ready_file is not None:
        _write(file, _simulated(invocation, ready_file, time_scale))
        say(f"wrote {file} for the simulated tenant", file=str(file))
        return
    from quell.settings import declared_rows

    _write(file, "".join(_lines(list(declared_rows(invocation.registry().sections)))))
    say(f"wrote {file}; set your tenant there, then `quell config check`", file=str(file))


def _simulated(invocation: Invocation, ready_file: Path, time_scale: float) -> str:
    """Write the settings of a simulated tenant, and keep its journal beside them."""
    import json

    import tomli_w

    ready = json.loads(ready_file.read_text(encoding="utf-8"))
    simulator = invocation.registry().simulator(ready.get("simulator"))
    # the simulator's limits are per second of its own time
    tenant = {"simulated": True, "quota_scale": time_scale, **simulator.settings_from(ready)}
    return tomli_w.dumps({"state_dir": "state", "tenant": {"simulated": tenant}})


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as new:
            file.chmod(0o600)
            new.write(text)
    except FileExistsError as error:
        raise StateError(
            what=str(file), problem="is there already", remedy="Name another file."
        ) from error
    except OSError as error:
        raise StateError(
            what=str(file),
            problem=f"cannot be written: {error.strerror}",
            remedy="Name a file in a folder that you may write to.",
        ) from error


def _lines(rows: list[Any]) -> Iterator[str]:
    yield "# quell's configuration. Lines that begin with `#` are defaults, or examples.\n"
    yield "# A secret can be written as `env:NAME` or `file:PATH`; the environment overrides\n"
    yield "# every setting: QUELL__LOGGING__LEVEL=debug.\n"
    table = ""
    for row in sorted(rows, key=lambda one: "." in one.name):
        section, _, key = row.name.rpartition(".")
        if section != table:
            table = section
            yield f"\n{_header(section)}\n"
        yield f"\n# {row.text or key} ({row.type})\n"
        yield f"# {key} = {_default(row)}\n"


def _header(section: str) -> str:
    if section.endswith("[]"):
        return f"# [[{section.removesuffix('[]')}]]"
    # a table whose name the operator chooses exists only once it is chosen
    return f"# [{section.replace('[]', '')}]" if "NAME" in section else f"[{section}]"


def _default(row: Any) -> str:
    if row.default == "required":
        return '"…"  # required'
    if row.default == "":
        return '""' if row.type in {"text", "secret", "path"} else "…"
    is_text = not row.type.startswith(("list", "table", "whole", "number", "true"))
    return f'"{row.default}"' if is_text else row.default
