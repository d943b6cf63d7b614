"""`quell up`: everything in this process, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.errors import SettingsError

if TYPE_CHECKING:
    from quell.runtime import Runtime

__all__ = ["up"]


@click.command()
@pass_invocation
def up(invocation: Invocation) -> None:
    """Run everything in this process until stopped: polls, writes, playbooks, timers.

    Stop it with Ctrl-C or SIGTERM: steps in hand get `worker.grace` seconds to end, or a second
    signal ends them. Whatever is under way goes on at the next start.
    """
    with invocation.runtime() as runtime:
        if not runtime.tenants:
            raise SettingsError(
                name="tenant",
                problem="no tenant is configured",
                where=str(runtime.settings.path or ""),
                remedy="Write a configuration with `quell config init`, or try `quell demo`.",
            )
        names = ", ".join(sorted(runtime.tenants))
        click.echo(f"quell is up for {names}; journal {runtime.journal.where}", err=True)
        runtime.run(_serve(runtime))


async def _serve(runtime: Runtime) -> None:
    from quell.http import serve_door

    stop = asyncio.Event()

    def leave() -> None:
        if stop.is_set():
            runtime.hurry()  # a second signal: whoever sent it does not want to wait
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, leave)
    await runtime.up(stop, beside=[serve_door])
