"""`quell simulate`: a simulated product tenant to test playbooks and plugins against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.errors import SettingsError

__all__ = ["simulate"]


@click.command()
@click.argument("name", required=False)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port; 0 takes a free one.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write how to reach it there, as JSON, once it answers.",
)
@click.option(
    "--load",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of recorded incidents and alerts to start from.",
)
@click.option("--story", is_flag=True, help="Begin with the story that the demo tells.")
@click.option("--time-scale", type=float, default=1.0, help="How much faster its time runs.")
@click.option("--queued", is_flag=True, help="Keep the story's incidents back until released.")
@click.option(
    "--knobs",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON file that turns the simulator's knobs: faults, lag, limits.",
)
@pass_invocation
def simulate(
    invocation: Invocation,
    name: str | None,
    port: int,
    ready_file: Path | None,
    load: Path | None,
    story: bool,
    time_scale: float,
    queued: bool,
    knobs: Path | None,
) -> None:
    """Run a simulated tenant on this machine until stopped.

    NAME chooses one where enabled plugins offer several.
    """
    options: dict[str, Any] = {
        "port": port,
        "ready_file": str(ready_file) if ready_file else None,
        "load": str(load) if load else None,
        "story": story,
        "time_scale": time_scale,
        "queued": queued,
        "config": _read_knobs(knobs),
    }
    invocation.registry().simulator(name).serve(options)


def _read_knobs(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        knobs = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SettingsError(
            name="--knobs", problem=f"is not JSON: {error}", where=str(path)
        ) from error
    if not isinstance(knobs, dict):
        raise SettingsError(name="--knobs", problem="is not a JSON object", where=str(path))
    return {str(key): value for key, value in knobs.items()}  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType] # JSON
