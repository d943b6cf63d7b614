"""`quell sentinel`: what has to be in a workspace before events can be streamed into it."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from quell import EventTable
from quell.domain.events import TableCatalogue

if TYPE_CHECKING:
    from quell_sentinel.tables import Definitions

__all__ = ["sentinel"]


@click.group()
def sentinel() -> None:
    """Write what a workspace needs before events can be streamed into it."""


@sentinel.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "bicep"]),
    default="bicep",
    show_default=True,
    help="An Azure Resource Manager template, or Bicep.",
)
@click.option(
    "--table",
    "patterns",
    metavar="NAME",
    multiple=True,
    help="Only these tables, by name or pattern; several times for several. [default: all]",
)
@click.option(
    "--prefix",
    default="Quell",
    show_default=True,
    help="What the tables' names begin with, as in `table_prefix` of the settings.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write the file into. [default: standard output]",
)
def tables(form: str, patterns: Sequence[str], prefix: str, out: Path | None) -> None:
    """Write the definitions of tables and of the data collection rules that lead to them.

    Deploy them into the workspace's resource group, give the identity for the role `sync` the role
    Monitoring Metrics Publisher on the rules, and put their ids into the settings.
    """
    from quell_sentinel.tables import define
    from quell_sentinel.templates import as_bicep, as_json

    chosen = _chosen(patterns)
    writers: Mapping[str, Callable[[Definitions], str]] = {"json": as_json, "bicep": as_bicep}
    text = writers[form](define(chosen, _checked(prefix)))
    if out is None:
        click.echo(text, nl=False)
        return
    path = out / f"quell-tables.{form}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(path), error.strerror or "") from error
    click.echo(f"wrote {path}")


def _chosen(patterns: Sequence[str]) -> list[EventTable]:
    catalogue = cast("TableCatalogue", click.get_current_context().obj)
    known = catalogue.event_tables()
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(table.name, pattern) for table in known):
            raise click.BadParameter(
                f"there is no table {pattern!r}; `quell events tables` lists them all",
                param_hint="--table",
            )
    return [
        table
        for table in known
        if not patterns or any(fnmatch.fnmatchcase(table.name, one) for one in patterns)
    ]


def _checked(prefix: str) -> str:
    from quell_sentinel.settings import SentinelSettings

    try:
        return SentinelSettings(table_prefix=prefix).table_prefix
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--prefix") from error
