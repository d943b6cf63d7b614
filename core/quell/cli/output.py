"""Printing: tables for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeGuard, TypeVar

import click

from quell.cli.invocation import Invocation
from quell.cli.text import clean, clip

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = [
    "cell",
    "complain",
    "json_option",
    "progress",
    "say",
    "show",
    "show_fields",
    "show_parts",
    "to_json",
]

P = ParamSpec("P")
R = TypeVar("R")

#: most characters of one cell; the whole text is in `--json`
CELL_LIMIT = 120
#: wide enough that nothing is cut or wrapped when the output goes to a file or a pipe
PIPE_WIDTH = 4096


def json_option(function: Callable[P, R]) -> Callable[P, R]:
    """Give a command the option `--json`; what it shows is JSON then."""

    def remember(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
        invocation = context.ensure_object(Invocation)
        # a group and its command both have it: saying it once is enough
        invocation.as_json = invocation.as_json or value
        return value

    option = click.option(
        "--json", is_flag=True, expose_value=False, callback=remember, help="Print JSON."
    )

    @wraps(function)
    def wrapped(*arguments: P.args, **options: P.kwargs) -> R:
        return function(*arguments, **options)

    return option(wrapped)


def to_json(value: Any) -> str:
    """Write a value as JSON in ASCII: no character of an incident reaches the terminal as such."""
    import msgspec

    return json.dumps(msgspec.to_builtins(value, enc_hook=str), indent=2)


def cell(value: Any) -> str:
    """Write a value for a table: one clean, clipped line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if _is_many(value):
        return clip(", ".join(cell(item) for item in value), CELL_LIMIT)
    return clip(clean(_moment(value) or str(value)), CELL_LIMIT)


def _is_many(value: Any) -> TypeGuard[Iterable[Any]]:
    return isinstance(value, (list, tuple, set, frozenset))


def _moment(value: Any) -> str:
    from datetime import UTC, datetime

    if not isinstance(value, datetime):
        return ""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def show(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    empty: str = "nothing",
) -> None:
    """Print rows: the columns named as a table, or everything as JSON."""
    if _as_json():
        click.echo(to_json([dict(row) for row in rows]))
    elif not rows:
        click.echo(empty)
    else:
        _print_table(rows, columns)


def _print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        # Text, not str: brackets in an incident's title are no markup
        table.add_row(*(Text(cell(row.get(column))) for column in columns))
    _console().print(table)


def _console() -> Any:
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def show_fields(fields: Mapping[str, Any]) -> None:
    """Print one thing: name and value per line, or JSON."""
    if _as_json():
        click.echo(to_json(dict(fields)))
        return
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name.replace('_', ' '):<{width}}  {cell(value)}")


def show_parts(
    fields: Mapping[str, Any],
    parts: Mapping[str, tuple[Sequence[Mapping[str, Any]], Sequence[str]]],
) -> None:
    """Print one thing with lists that belong to it, each a table under its name."""
    if _as_json():
        click.echo(to_json({**fields, **{name: rows for name, (rows, _) in parts.items()}}))
        return
    show_fields({name: value for name, value in fields.items() if value not in (None, "", [])})
    for name, (rows, columns) in parts.items():
        click.echo(f"\n{name}")
        show(rows, columns)


def say(text: str, **fields: Any) -> None:
    """Tell what was done: a sentence for people, or the fields as JSON."""
    click.echo(to_json(fields) if _as_json() else clean(text))


def complain(problems: Iterable[str]) -> None:
    """Tell on standard error what went wrong: it may quote what a product answered."""
    for problem in problems:
        click.echo(f"error: {clean(problem)}", err=True)


def _as_json() -> bool:
    return click.get_current_context().ensure_object(Invocation).as_json


def progress(*, is_counted: bool = False) -> Progress:
    """Make a progress display on standard error; silent where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        *([BarColumn()] if is_counted else []),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
