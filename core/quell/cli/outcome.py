"""How a command ends: the exit codes, and what an error looks like."""

from __future__ import annotations

import sys
import traceback
from enum import IntEnum
from pathlib import Path

import click

from quell.cli.invocation import Invocation
from quell.cli.text import clean_lines
from quell.errors import (
    ConnectorError,
    JournalError,
    NotFoundError,
    PlaybookError,
    PluginError,
    QuellError,
    SettingsError,
    StateError,
)

__all__ = ["ExitCode", "exit_code_of", "report_broken", "report_error"]


class ExitCode(IntEnum):
    """What the exit code says; scripts may rely on it."""

    DONE = 0
    #: the answer is no: queues disagree, a check failed, an effect failed, nothing found
    NO = 1
    USAGE = 2
    #: settings, a plugin or a playbook has a mistake
    SETTINGS = 3
    #: a product could not be reached, refused the sign-in or the permission
    CONNECTION = 4
    JOURNAL = 5
    #: the guard or the state of things does not allow it, or a person has to approve first
    REFUSED = 6
    #: a defect of quell itself
    DEFECT = 70
    INTERRUPTED = 130


#: the first class that fits decides
CODES: tuple[tuple[type[QuellError], ExitCode], ...] = (
    (SettingsError, ExitCode.SETTINGS),
    (PluginError, ExitCode.SETTINGS),
    (PlaybookError, ExitCode.SETTINGS),
    (NotFoundError, ExitCode.NO),
    (StateError, ExitCode.REFUSED),
    (JournalError, ExitCode.JOURNAL),
    (ConnectorError, ExitCode.CONNECTION),
)


def exit_code_of(error: QuellError) -> ExitCode:
    """Give the exit code of an error."""
    return next((code for kind, code in CODES if isinstance(error, kind)), ExitCode.NO)


def report_error(error: QuellError, invocation: Invocation) -> None:
    """Say what is wrong and what to do, on standard error."""
    if invocation.as_json:
        from quell.cli.output import to_json

        body: dict[str, object] = {"code": error.code, "message": error.message}
        if isinstance(error, PlaybookError):
            body["problems"] = error.problems
        click.echo(to_json({"error": body | {"remedy": error.remedy}}), err=True)
    elif isinstance(error, PlaybookError):
        # one line each, beginning with the place: editors and `grep` can follow them
        click.echo(clean_lines(error.message), err=True)
        click.echo(f"error: {_counted(len(error.problems))}", err=True)
        click.echo(f"  do:  {clean_lines(error.remedy)}", err=True)
    else:
        click.echo(f"error: {clean_lines(error.message)}", err=True)
        click.echo(f"  do:  {clean_lines(error.remedy)}", err=True)
    _show_trace(error, invocation)


def _counted(problems: int) -> str:
    return "1 mistake" if problems == 1 else f"{problems} mistakes"


def report_broken(error: Exception, invocation: Invocation) -> None:
    """Report a defect of quell in one line: the kind and the place, not the data."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    click.echo(f"error: quell broke: {type(error).__name__}{place}", err=True)
    click.echo("  do:  Run it again with `quell --debug …` and report what it shows.", err=True)
    _show_trace(error, invocation)


def _show_trace(error: Exception, invocation: Invocation) -> None:
    if invocation.debug:
        traceback.print_exception(error, file=sys.stderr)
