"""`quell demo`: the whole of quell against a simulated tenant, with proof at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from quell.cli.activation import activate_file
from quell.cli.demo.screen import Screen
from quell.cli.demo.stage import TENANT, Stage
from quell.cli.demo.story import PERSON, Course, play
from quell.cli.demo.verdict import Verdict, judge
from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.outcome import ExitCode
from quell.cli.output import json_option, to_json
from quell.domain.simulator import SimulatorSpec, TenantFacts
from quell.runtime import Runtime, open_runtime

__all__ = ["demo"]

#: how many times faster the tenant's time runs: operations that take minutes take seconds
TIME_SCALE = 60.0


@click.command()
@click.option(
    "--load",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    help="Play the recorded incidents and alerts in this folder instead of the story.",
)
@click.option("--simulator", "name", help="Which simulator, where plugins offer several.")
@json_option
@pass_invocation
def demo(invocation: Invocation, load: Path | None, name: str | None) -> int:
    """Show all of it on a simulated tenant, in under a minute; leaves nothing behind.

    Incidents arrive and appear in the other queue, playbooks contain what they name, a worker is
    killed in the middle. Exits with 1 when anything disagrees at the end.
    """
    screen = Screen(is_silent=invocation.as_json)
    simulator = invocation.registry().simulator(name)
    with Stage() as stage:
        facts, verdict = _perform(stage, simulator, load, screen)
    if invocation.as_json:
        click.echo(to_json(verdict))
    else:
        screen.show(facts, verdict)
    return ExitCode.DONE if verdict.ok else ExitCode.NO


def _perform(
    stage: Stage, simulator: SimulatorSpec, load: Path | None, screen: Screen
) -> tuple[TenantFacts, Verdict]:
    screen.say("A simulated tenant starts, with HTTPS on loopback.")
    ready = stage.start_simulator(name=simulator.name, time_scale=TIME_SCALE, load=load)
    for line in ready.get("skipped", []):
        screen.say(f"Skipped: {line}")
    stage.write_settings(simulator.settings_from(ready), _own_settings(), time_scale=TIME_SCALE)
    with open_runtime(stage.config) as runtime:
        for shipped in runtime.registry.playbooks:
            activate_file(runtime, TENANT, shipped.path, by=PERSON)
        screen.say("A worker starts: `quell up`.")
        stage.start_worker()
        return runtime.run(_play(stage, runtime, simulator, ready, screen))


async def _play(
    stage: Stage, runtime: Runtime, simulator: SimulatorSpec, ready: Any, screen: Screen
) -> tuple[TenantFacts, Verdict]:
    control = simulator.control(ready)
    try:
        course: Course = await play(stage, runtime, control, screen.say)
        stage.stop_worker()
        screen.say("Both queues are read afresh and compared.")
        facts = await control.facts()
        verdict = await judge(runtime, facts, course, seconds=screen.seconds, time_scale=TIME_SCALE)
    finally:
        await control.close()
    return facts, verdict


def _own_settings() -> dict[str, Any]:
    return {
        "logging": {"level": "info", "format": "json"},
        "sync": {"mode": "replica"},
    }
