"""What the web door tells those who watch: metrics, and whether this process can do its work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any, Generic, TypeVar

from quell.errors import ConnectorError, JournalError
from quell.journal import Transaction
from quell.journal.gauges import Picture, picture
from quell.quota import ClassState
from quell.runtime import Runtime
from quell.telemetry.gauges import Now
from quell.telemetry.metrics import render

__all__ = ["Watch"]

T = TypeVar("T")

#: seconds for which a page is given to everybody who asks: scrapes cost the journal one read
KEPT_FOR = 5.0
#: seconds that a look at the journal, or at the quota in Redis, may take
PATIENCE = 3.0
#: seconds that one turn of a duty may take: a backfill does a page at a time, well within them
STUCK_AFTER = 900.0


class Watch:
    """Answers for one process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._picture = _Look(self._take_picture)
        self._journal = _Look(lambda: runtime.journal.ask(_time))
        self._quota = _Look(self._ask_quotas)
        self._turn = asyncio.Lock()
        self._page = b""
        self._until = 0.0

    async def page(self) -> bytes:
        """Give the page of metrics, at most some seconds old, whatever does not answer."""
        async with self._turn:
            if time.monotonic() >= self._until:
                now = await self._now()
                # a page of some thousand lines takes milliseconds that runs need not wait for
                self._page = await asyncio.to_thread(render, now)
                self._until = time.monotonic() + KEPT_FOR
            return self._page

    async def problems(self) -> list[str]:
        """Say what keeps this process from its work; empty when it is ready."""
        problems = await self._runtime.problems()
        problems += [
            f"{tenant}: {name}: its turn has lasted for {seconds:.0f} s"
            for tenant, name, seconds in self._long_turns()
        ]
        try:
            await self._journal.answer()
        except JournalError as error:
            problems.append(f"journal: {error}")
        except TimeoutError:
            problems.append(f"journal: no answer within {PATIENCE:.0f} s")
        return problems

    def _long_turns(self) -> list[tuple[str, str, float]]:
        now = time.monotonic()
        return [
            (tenant.id, duty.name, now - since)
            for tenant in self._runtime.tenants.values()
            for duty in tenant.kept
            if (since := duty.busy_since) is not None and now - since > STUCK_AFTER
        ]

    async def _now(self) -> Now:
        taken: Picture | None = None
        with suppress(JournalError, TimeoutError):
            taken = await self._picture.answer()
        quotas: Mapping[str, Sequence[ClassState]] = {}
        with suppress(ConnectorError, TimeoutError):
            quotas = await self._quota.answer()
        tenants = self._runtime.tenants.values()
        duties = [(str(tenant.id), duty) for tenant in tenants for duty in tenant.kept]
        return Now(
            worker=self._runtime.worker_id,
            version=version("quell"),
            picture=taken,
            quotas=quotas,
            sources=[
                (str(tenant.id), str(source.source_id))
                for tenant in tenants
                for source, _ in tenant.sources
            ],
            duties=[(tenant, duty.name) for tenant, duty in duties],
            failing=[(tenant, duty.name) for tenant, duty in duties if duty.problem],
            in_hand=self._runtime.dispatcher.in_hand,
        )

    async def _take_picture(self) -> Picture:
        return await self._runtime.journal.ask(picture(list(self._runtime.tenants)))

    async def _ask_quotas(self) -> dict[str, Sequence[ClassState]]:
        tenants = self._runtime.tenants.items()
        return {name: await tenant.quota.states() for name, tenant in tenants}


class _Look(Generic[T]):
    """A question that is asked once at a time: what hangs is waited for, and not asked again."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._asking: asyncio.Future[T] | None = None

    async def answer(self) -> T:
        """Give the answer. Raises TimeoutError when it does not come, or what the question does."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
            self._asking.add_done_callback(_forget)
        done, _ = await asyncio.wait({self._asking}, timeout=PATIENCE)
        if not done:
            raise TimeoutError
        return self._asking.result()


def _forget(asking: asyncio.Future[Any]) -> None:
    """Take note of an answer that came too late for whoever had asked."""
    if not asking.cancelled():
        asking.exception()


def _time(tx: Transaction) -> object:
    return tx.now
