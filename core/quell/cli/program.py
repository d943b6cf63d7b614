"""The program `quell`: its command table, its global options, and how errors leave it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from quell.cli.invocation import Invocation
from quell.cli.lazy import LazyGroup, Listed
from quell.cli.outcome import ExitCode, exit_code_of, report_broken, report_error
from quell.errors import QuellError

__all__ = ["COMMANDS", "main", "program", "run"]

#: every command: the module that has it, the name there, and its line in `--help`
COMMANDS = {
    "demo": Listed(
        "demo",
        "demo",
        "Show all of it on a simulated tenant, in under a minute; leaves nothing behind.",
    ),
    "up": Listed(
        "up",
        "up",
        "Run everything in this process until stopped: polls, writes, playbooks, timers.",
    ),
    "worker": Listed("worker", "worker", "Run a worker of a fleet until stopped."),
    "sync": Listed("sync", "sync", "Bring the queues together once; list and accept drift."),
    "events": Listed(
        "events", "events", "Stream alerts, evidence and raw tables; show how far each has come."
    ),
    "incidents": Listed(
        "incidents", "incidents", "List incidents, the last changed first; show one."
    ),
    "conflicts": Listed(
        "conflicts", "conflicts", "List where copies disagreed, open ones first; settle one."
    ),
    "runs": Listed("runs", "runs", "List runs, newest first; show one, cancel or resume it."),
    "held": Listed("held", "held", "List starts that wait for a person; release one."),
    "run": Listed("run", "run", "Start an active playbook on an incident by hand."),
    "act": Listed("act", "act", "Do one action to one entity, guarded like a playbook's."),
    "approvals": Listed(
        "approvals", "approvals", "List open questions, those that end soonest first."
    ),
    "approve": Listed("approvals", "approve", "Approve exactly what a question shows."),
    "deny": Listed("approvals", "deny", "Deny what a question asks."),
    "holds": Listed("holds", "holds", "List who wants which state of what to last."),
    "actions": Listed(
        "actions", "actions", "List what playbooks and `quell act` can do; show one action."
    ),
    "why": Listed("why", "why", "Say why playbooks started on an incident, or did not."),
    "undo": Listed("undo", "undo", "Take back what a run or an action did."),
    "arm": Listed("switches", "arm", "Let effects happen on a tenant."),
    "disarm": Listed(
        "switches", "disarm", "Let no effect happen on a tenant; taking back goes on."
    ),
    "halt": Listed(
        "switches", "halt", "Stop containment, denial and remediation at once; taking back goes on."
    ),
    "resume": Listed("switches", "resume", "Go on after a halt."),
    "playbook": Listed("playbook", "playbook", "Check, activate and show playbooks."),
    "plugins": Listed("plugins", "plugins", "List plugins; enable or disable one."),
    "simulate": Listed(
        "simulate", "simulate", "Run a simulated tenant on this machine until stopped."
    ),
    "config": Listed("config", "config", "Show, check or begin the configuration."),
    "permissions": Listed(
        "permissions", "permissions", "List the permissions that each identity must be granted."
    ),
    "quota": Listed("quota", "quota", "Show how many calls each product still allows."),
    "journal": Listed(
        "journal",
        "journal",
        "Show how large the journal is; archive and remove what ended long ago.",
    ),
    "doctor": Listed(
        "doctor",
        "doctor",
        "Check plugins, settings, journal, connections, sign-in and permissions.",
    ),
}


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 no or not all, 2 usage, 3 settings, plugin or playbook, "
    "4 connection, sign-in or permission, 5 journal, 6 refused or to be approved, 70 a defect of "
    "quell, 130 interrupted.",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file. [default: $QUELL_CONFIG, ./quell.toml, ~/.config/quell/quell.toml]",
)
@click.option("--debug", is_flag=True, help="Show where in the code an error comes from.")
@click.version_option(package_name="quell", message="%(prog)s %(version)s")
@click.pass_context
def program(context: click.Context, config_path: Path | None, debug: bool) -> None:
    """Keep security incident queues in step and answer incidents with durable playbooks."""
    invocation = context.ensure_object(Invocation)
    invocation.chosen_config = config_path
    invocation.debug = debug


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and end the process; every failure leaves as one line and an exit code."""
    invocation = Invocation(environ=dict(os.environ))
    sys.exit(run(invocation, arguments))


def run(invocation: Invocation, arguments: Sequence[str] | None = None) -> int:
    """Run the program and give its exit code."""
    try:
        result = program.main(
            args=list(arguments) if arguments is not None else None,
            prog_name="quell",
            standalone_mode=False,
            obj=invocation,
        )
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except QuellError as error:
        report_error(error, invocation)
        return exit_code_of(error)
    except BrokenPipeError:
        # whoever read our output has seen enough; nothing may be flushed into the closed pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.NO
    except Exception as error:  # noqa: BLE001 # the edge of the command line
        report_broken(error, invocation)
        return ExitCode.DEFECT
    return result if isinstance(result, int) else ExitCode.DONE
