"""The peer without a journal: chains of three tasks on Celery alone, as its users write them.

Acknowledged early, nothing kept: a killed worker loses what it had. With a result backend,
each result is written to Redis.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import urllib3
from celery import Celery, chain

from bench.tally import Tally

__all__ = ["app", "submit"]

#: connections kept to the stub: one for each thread of the largest pool
CONNECTIONS = 256
QUEUE = "raw"


def _make_app() -> Celery:
    made = Celery(
        "raw", broker=os.environ["BENCH_REDIS"], backend=os.environ.get("BENCH_RESULTS") or None
    )
    made.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=QUEUE,
        task_ignore_result=not os.environ.get("BENCH_RESULTS"),
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
    )
    return made


app = _make_app()
_making = threading.Lock()
_shared: dict[int, Shared] = {}


class Shared:
    """What the threads of one process share; made after a fork."""

    def __init__(self) -> None:
        self.tally = Tally(Path(os.environ["BENCH_TALLY"]))
        self.url = os.environ["BENCH_STUB"]
        self.pool = urllib3.PoolManager(num_pools=1, maxsize=CONNECTIONS)


def _here() -> Shared:
    with _making:
        if os.getpid() not in _shared:
            _shared[os.getpid()] = Shared()
        return _shared[os.getpid()]


@app.task(name="raw.look")
def look(run: str) -> None:
    """Do nothing but leave a line."""
    _here().tally.note(run)


@app.task(name="raw.fetch")
def fetch(run: str) -> None:
    """Ask the stub and wait for its answer."""
    shared = _here()
    answer = shared.pool.request("GET", shared.url)
    if answer.status != 200:
        raise RuntimeError(f"the stub answered {answer.status}")
    shared.tally.note(run)


def submit(step: str, run: str, steps: int) -> None:
    """Send one chain."""
    signature: Any = {"look": look, "fetch": fetch}[step].si
    chain(*(signature(run) for _ in range(steps))).apply_async()
