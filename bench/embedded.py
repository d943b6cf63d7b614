"""quell in one process, as `quell up` runs it: duties, events and logs on, the journal in SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from bench.ground import TENANT, prepared
from bench.submitter import Done, Order, answer_orders
from quell.domain.ids import RunId
from quell.journal import runs, writer
from quell.journal.tables import runs as table
from quell.journal.writer import Transaction
from quell.runtime import Runtime, open_runtime

__all__ = ["main"]

#: submissions that are under way at a time
AT_ONCE = 64
#: seconds between two looks whether runs are left
LOOK_EVERY = 0.02


class Embedded:
    """A process with its duties up."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._incidents, self._digests = runtime.journal.ask_now(prepared(TENANT))

    async def up(self) -> None:
        """Do the duties, and carry out what is ordered, until there are no more orders."""
        stop = asyncio.Event()
        duties = asyncio.create_task(self._runtime.up(stop))
        await answer_orders(self.carry_out)
        stop.set()
        await duties

    async def carry_out(self, order: Order) -> Done:
        """Begin so many runs, and wait until the journal says that all are done."""
        slots, sent = asyncio.Semaphore(AT_ONCE), dict[str, float]()
        begin = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(order.runs):
                group.create_task(self._begin(order.step, number, slots, sent))
        while await self._runtime.journal.ask(_count_open):  # noqa: ASYNC110 # another's doing
            await asyncio.sleep(LOOK_EVERY)
        return Done(begin=begin, end=time.monotonic(), sent=sent)

    async def _begin(
        self, verb: str, number: int, slots: asyncio.Semaphore, sent: dict[str, float]
    ) -> None:
        run, name = uuid.uuid4().hex, f"three_{verb}"
        new = runs.NewRun(
            id=RunId(run),
            playbook_id=name,
            digest=self._digests[name],
            cause=f"{name}/{run}",
            incident_id=self._incidents[number % len(self._incidents)],
            revision=1,
        )
        async with slots:
            await self._runtime.journal.commit(runs.create(TENANT, new))
            sent[run] = time.monotonic()
            self._runtime.dispatcher.offer(runs.RunRef(TENANT, new.id))


def _count_open(tx: Transaction) -> int:
    counted = sa.select(sa.func.count()).select_from(table).where(table.c.state != "done")
    return int(tx.execute(counted).scalar_one())


def main(arguments: Sequence[str]) -> None:
    """Open everything, then carry out what is ordered. `alone` commits each write by itself."""
    config, grouping = arguments
    if grouping == "alone":
        if not hasattr(writer, "GROUP_LIMIT"):
            raise SystemExit("the journal's writer does not say any more how large its groups are")
        writer.GROUP_LIMIT = 1
    with contextlib.ExitStack() as stack:
        runtime = stack.enter_context(open_runtime(Path(config)))
        runtime.run(Embedded(runtime).up())


if __name__ == "__main__":
    main(sys.argv[1:])
