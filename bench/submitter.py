"""Submits runs from a process of its own, when it is told to: to quell's fleet or to bare Celery.

It reads one order as JSON from each line, and answers each with one line.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import msgspec

__all__ = ["Done", "Order", "main"]

#: submissions that are under way at a time
AT_ONCE = 64


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs, of what, and how fast."""

    runs: int
    #: `look`, `note` or `fetch`
    step: str
    #: runs a second; 0 for as fast as it goes
    rate: float = 0.0


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was submitted, and when; moments are of the monotonic clock."""

    begin: float
    end: float
    #: by run, when its wake-up was handed to the broker
    sent: dict[str, float]


class Submitter(Protocol):
    """One way to submit."""

    async def submit(self, step: str, run: str) -> None:
        """Submit one run; returns once it is with the broker."""
        ...


class ToCelery:
    """Chains of three."""

    async def submit(self, step: str, run: str) -> None:
        """Send one chain."""
        from bench.raw_celery import submit

        submit(step, run, 3)


class ToQuell:
    """A run is committed to the journal, then its wake-up is sent, as a worker does it."""

    def __init__(self) -> None:
        from bench.ground import TENANT, prepared
        from quell.journal import Journal

        self._tenant = TENANT
        self._journal = Journal.open(os.environ["BENCH_JOURNAL"])
        self._incidents, self._digests = self._journal.ask_now(prepared(TENANT))
        self._count = 0

    async def submit(self, step: str, run: str) -> None:
        """Write the run down, then wake whoever is free."""
        from quell.domain.ids import RunId
        from quell.fleet.app import look_at
        from quell.journal import runs

        incident = self._incidents[self._count % len(self._incidents)]
        self._count += 1
        new = runs.NewRun(
            id=RunId(run),
            playbook_id=f"three_{step}",
            digest=self._digests[f"three_{step}"],
            cause=f"three_{step}/{run}",
            incident_id=incident,
            revision=1,
        )
        await self._journal.commit(runs.create(self._tenant, new))
        look_at.apply_async(args=(self._tenant, run), retry=False, ignore_result=True)


async def carry_out(order: Order, submitter: Submitter) -> Done:
    """Submit so many runs."""
    sent: dict[str, float] = {}
    slots = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with slots:
            run = uuid.uuid4().hex
            await submitter.submit(order.step, run)
            sent[run] = time.monotonic()

    begin = time.monotonic()
    await _all(one, order, begin)
    return Done(begin=begin, end=time.monotonic(), sent=sent)


async def _all(one: Callable[[], Coroutine[Any, Any, None]], order: Order, begin: float) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(order.runs):
            if order.rate:
                await asyncio.sleep(max(0.0, begin + number / order.rate - time.monotonic()))
            group.create_task(one())


def main(arguments: Sequence[str]) -> None:
    """Carry out what is ordered until there are no more orders."""
    submitter: Submitter = ToQuell() if arguments[0] == "quell" else ToCelery()
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            order = msgspec.json.decode(line, type=Order)
            done = runner.run(carry_out(order, submitter))
            print(json.dumps(msgspec.to_builtins(done)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
