"""`quell worker`: one worker of a fleet, as `celery -A worker worker` would start it."""

from __future__ import annotations

import os

import click

from quell.cli.invocation import Invocation, pass_invocation

__all__ = ["worker"]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("celery_options", nargs=-1, type=click.UNPROCESSED)
@pass_invocation
def worker(invocation: Invocation, celery_options: tuple[str, ...]) -> None:
    """Run a worker of a fleet until stopped.

    Needs a PostgreSQL journal and `redis_url`. CELERY_OPTIONS go to Celery as they are.
    """
    if invocation.chosen_config is not None:
        # the application reads its broker from the settings when it is imported
        os.environ["QUELL_CONFIG"] = str(invocation.chosen_config.absolute())
    from quell.fleet.app import app

    app.worker_main(["worker", *celery_options])
