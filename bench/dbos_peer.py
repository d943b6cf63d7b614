"""The durable peer in one process: DBOS on SQLite as it opens it, with the same steps and client."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from dbos import DBOS, DBOSConfig, SetWorkflowID

from bench.fleet_plugin import Bench, BenchSettings
from bench.submitter import Done, Order, answer_orders

__all__ = ["main"]

#: runs in flight, as in quell
IN_FLIGHT = 200
STEPS = 3

_bench: list[Bench] = []


@DBOS.step()
async def look(run: str) -> None:
    """Do nothing but leave a line."""
    _bench[0].tally.note(run)


@DBOS.step()
async def fetch(run: str) -> None:
    """Ask the stub and wait for its answer."""
    reply = await _bench[0].transport.send("GET", _bench[0].url, headers={})
    if reply.status != 200:
        raise RuntimeError(f"the stub answered {reply.status}")
    _bench[0].tally.note(run)


@DBOS.workflow()
async def three(verb: str, run: str) -> None:
    """Do the same three times, each time as a step of its own."""
    step = {"look": look, "fetch": fetch}[verb]
    for _ in range(STEPS):
        await step(run)


async def carry_out(order: Order) -> Done:
    """Start so many and wait for all of them."""
    slots, sent = asyncio.Semaphore(IN_FLIGHT), dict[str, float]()

    async def one() -> None:
        run = uuid.uuid4().hex
        async with slots:
            sent[run] = time.monotonic()
            with SetWorkflowID(run):
                await three(order.step, run)

    begin = time.monotonic()
    await asyncio.gather(*(one() for _ in range(order.runs)))
    return Done(begin=begin, end=time.monotonic(), sent=sent)


def main(arguments: Sequence[str]) -> None:
    """Launch in a folder, then carry out what is ordered."""
    folder, tally, url = arguments
    config = DBOSConfig(
        name="bench",
        system_database_url=f"sqlite:///{Path(folder) / 'dbos.sqlite3'}",
        log_level="WARNING",
    )
    DBOS(config=config)
    DBOS.launch()
    asyncio.run(_answer(BenchSettings(tally=tally, url=url)))
    DBOS.destroy()


async def _answer(settings: BenchSettings) -> None:
    _bench.append(Bench(settings))
    await answer_orders(carry_out)
    await _bench[0].aclose()


if __name__ == "__main__":
    main(sys.argv[1:])
