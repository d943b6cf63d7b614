"""Submits runs from a process of its own, when it is told to: to quell's fleet or to bare Celery.

It reads one order as JSON from each line, and answers each with one line.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import msgspec

from bench.process import Process

__all__ = ["Done", "Order", "answer_orders", "give_order", "main"]

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
    #: by run, when its message began to be sent
    sent: dict[str, float]


def give_order(submitter: Process, order: Order) -> Done:
    """Have runs submitted by a process. Raises WorkNotDone."""
    answer = submitter.ask(msgspec.json.encode(order).decode())
    return msgspec.json.decode(answer, type=Done)


class Submitter(Protocol):
    """One way to submit."""

    async def submit(self, step: str, run: str) -> float:
        """Submit one run; gives the moment that its message began to be sent."""
        ...


class ToCelery:
    """Chains of three."""

    async def submit(self, step: str, run: str) -> float:
        """Send one chain."""
        from bench.raw_celery import submit

        moment = time.monotonic()
        submit(step, run, 3)
        return moment


class ToQuell:
    """A run is committed to the journal, then its wake-up is sent, as a worker does it."""

    def __init__(self) -> None:
        from bench.ground import TENANT, prepared
        from quell.journal import Journal

        self._tenant = TENANT
        self._journal = Journal.open(os.environ["BENCH_JOURNAL"])
        self._incidents, self._digests = self._journal.ask_now(prepared(TENANT))
        self._count = 0

    async def submit(self, step: str, run: str) -> float:
        """Write the run down, then wake whoever is free."""
        from quell.domain.ids import RunId
        from quell.fleet.app import RANKS, look_at
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
        moment = time.monotonic()
        look_at.apply_async(
            args=(self._tenant, run), retry=False, ignore_result=True, priority=RANKS[1]
        )
        return moment


async def carry_out(order: Order, submitter: Submitter) -> Done:
    """Submit so many runs."""
    sent: dict[str, float] = {}
    slots = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with slots:
            run = uuid.uuid4().hex
            sent[run] = await submitter.submit(order.step, run)

    begin = time.monotonic()
    await _all(one, order, begin)
    return Done(begin=begin, end=time.monotonic(), sent=sent)


async def _all(one: Callable[[], Coroutine[Any, Any, None]], order: Order, begin: float) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(order.runs):
            if order.rate:
                await asyncio.sleep(max(0.0, begin + number / order.rate - time.monotonic()))
            group.create_task(one())


async def answer_orders(carry_out: Callable[[Order], Coroutine[Any, Any, Done]]) -> None:
    """Say that all is ready, then carry out orders until there are no more."""
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        done = await carry_out(msgspec.json.decode(line, type=Order))
        print(msgspec.json.encode(done).decode(), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Submit to what is named: `quell` or `celery`."""
    submitter: Submitter = ToQuell() if arguments[0] == "quell" else ToCelery()
    asyncio.run(answer_orders(lambda order: carry_out(order, submitter)))


if __name__ == "__main__":
    main(sys.argv[1:])
