"""A steady load: runs written to the journal as `quell act` does, and incidents that start a playbook."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from celery import Celery
from tests.chaos.ledger import TenantBooks
from tests.chaos.tenant import device_id
from tests.fleet_stage import TENANT

from quell.domain.entity import Device, EntityKind
from quell.domain.ids import RunId
from quell.domain.run import RunState
from quell.engine.order import target_body
from quell.errors import JournalError
from quell.journal import Journal, entities
from quell.journal import runs as journal_runs
from quell.journal.runs import ActOrder, NewRun, RunOptions
from quell.journal.tables import runs
from quell.journal.writer import Transaction, Write

__all__ = ["PLAYBOOK", "Load", "patiently"]

T = TypeVar("T")
#: runs written in one go
BATCH = 20
#: one incident comes with so many orders
ORDERS_PER_INCIDENT = 10
FINAL = [state.value for state in RunState if state.is_final]

PLAYBOOK = """\
quell: 1
playbook: contain
trigger: {incident: created}
when: incident.severity >= severity.low
steps:
  - id: isolate
    do: device.isolate
    to: incident.devices
  - id: note
    do: incident.comment
    with: {text: "Isolated: {{ names(isolate.done) }}"}
"""


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try again until the journal is there: it may be away just now."""
    for _ in range(600):
        try:
            return await attempt()
        except JournalError:
            await asyncio.sleep(0.2)
    return await attempt()


class Load:
    """Feeds runs, so that always some are under way; each acts on a device of its own."""

    def __init__(
        self,
        journal: Journal,
        books: TenantBooks,
        redis_url: str,
        *,
        total: int,
        at_once: int,
        seed: int,
    ) -> None:
        self.total = total
        self.at_once = at_once
        self.submitted: list[RunId] = []
        self.incidents = 0
        #: how often each wake-up is sent; more than once, they are shuffled, too
        self.wake_ups = 1
        self._journal = journal
        self._books = books
        self._random = random.Random(seed)
        self._broker = _connect(redis_url)

    @property
    def is_over(self) -> bool:
        """Tell whether everything was submitted."""
        return len(self.submitted) >= self.total

    async def feed(self) -> None:
        """Submit everything, no more at once than asked."""
        while not self.is_over:
            if await patiently(self.count_open) < self.at_once:
                await self._submit(min(BATCH, self.total - len(self.submitted)))
            await asyncio.sleep(0.1)

    async def count_open(self) -> int:
        """Count runs that have not ended."""
        mine = sa.and_(runs.c.tenant_id == TENANT, runs.c.state.not_in(FINAL))
        counted = sa.select(sa.func.count()).select_from(runs).where(mine)
        found: int = await self._journal.ask(lambda tx: tx.execute(counted).scalar_one())
        return found

    async def _submit(self, count: int) -> None:
        first = len(self.submitted)
        new = [RunId(uuid.uuid4().hex) for _ in range(count)]
        numbered = list(enumerate(new, start=first))
        writes = [_order(run_id, device_id(number)) for number, run_id in numbered]
        await asyncio.gather(*(patiently(lambda w=one: self._journal.commit(w)) for one in writes))  # type: ignore[misc]
        self.submitted += new
        await asyncio.to_thread(self._wake, new * self.wake_ups)
        if (due := len(self.submitted) // ORDERS_PER_INCIDENT) > self.incidents:
            await self._books.release(due - self.incidents)
            self.incidents = due

    def _wake(self, run_ids: list[RunId]) -> None:
        if self.wake_ups > 1:
            self._random.shuffle(run_ids)
        for run_id in run_ids:
            try:
                self._broker.send_task("quell.look_at", args=(TENANT, run_id), retry=False)
            except Exception:  # noqa: BLE001 # the broker's errors have no common root, and may all happen
                return  # the sweep finds them

    async def wake_again(self, copies: int) -> None:
        """Send wake-ups for everything that was ever submitted, so many times, in any order."""
        await asyncio.to_thread(self._wake_shuffled, copies)

    def _wake_shuffled(self, copies: int) -> None:
        run_ids = self.submitted * copies
        self._random.shuffle(run_ids)
        for run_id in run_ids:
            self._broker.send_task("quell.look_at", args=(TENANT, run_id), retry=False)

    def close(self) -> None:
        """Let go of the broker."""
        self._broker.close()


def _connect(redis_url: str) -> Any:  # the stubs know only half of the application
    broker = Celery("chaos", broker=redis_url, set_as_current=False)
    broker.conf.update(
        task_default_queue="wake-ups",
        task_ignore_result=True,
        broker_transport_options={
            "global_keyprefix": "quell:",
            "socket_timeout": 3,
            "socket_connect_timeout": 3,
        },
    )
    return broker


def _order(run_id: RunId, machine: str) -> Write[bool]:
    """Write down an order to isolate a device, the device with it."""
    device = Device(mde_id=machine)
    observe = entities.observe(TENANT, device)

    def apply(tx: Transaction) -> bool:
        entity_id = observe.apply(tx)
        body = target_body(
            entity_id, device, device.aliases(), kind=EntityKind.DEVICE.value, name=machine
        )
        order = ActOrder(action="device.isolate", system="defender", targets=(body,))
        run = NewRun(
            id=run_id,
            playbook_id="act",
            digest="",
            cause=f"act/{run_id}",
            priority=1,
            options=RunOptions(ordered_by="tester", order=order),
        )
        return journal_runs.create(TENANT, run).apply(tx)

    return Write(apply, locks=observe.locks)
