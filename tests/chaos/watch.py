"""How long what a worker held lies idle after it is gone: its runs and its duties."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import sqlalchemy as sa
from tests.chaos.load import patiently
from tests.fleet_stage import TENANT

from quell.domain.run import RunState
from quell.journal import Journal, workers
from quell.journal.tables import leases, runs
from quell.journal.writer import Transaction

__all__ = ["Watch"]

#: what is held, by name, with the fence that it was held with
Held = Mapping[str, int]
LOOK_EVERY = 0.25
PATIENCE = 180.0


class Watch:
    """Follows what gone workers held until somebody else has it."""

    def __init__(self, journal: Journal, trouble: Callable[[], int]) -> None:
        self._journal = journal
        self._trouble = trouble
        self._following: set[asyncio.Task[None]] = set()
        #: seconds until the last of a worker's runs, and of its duties, was in other hands
        self.runs: list[float] = []
        self.duties: list[float] = []
        #: the same where more trouble came before everything was in other hands
        self.compounded: list[float] = []
        #: what nobody had taken over when it was given up: names, and how each stands
        self.stuck: list[str] = []
        self.held_runs = 0

    def follow(self, pid: int, is_back: Callable[[], bool] = lambda: False) -> None:
        """Begin to follow what the worker with a process number held until just now.

        One that was only stopped may be back before anybody took everything over.
        """
        task = asyncio.get_running_loop().create_task(self._follow(pid, is_back))
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def close(self) -> None:
        """Wait until everything that is followed is in other hands."""
        if self._following:
            await asyncio.gather(*self._following)

    async def _follow(self, pid: int, is_back: Callable[[], bool]) -> None:
        since = time.monotonic()
        trouble = self._trouble()
        owners = await patiently(lambda: self._journal.ask(workers.listed()))
        mine = [row.id for row in owners if row.pid == pid]
        held_runs, held_duties = await patiently(
            lambda: self._journal.ask(lambda tx: (_runs_of(tx, mine), _duties_held_by(tx, mine)))
        )
        self.held_runs += len(held_runs)
        while held_runs or held_duties:
            waited = time.monotonic() - since
            if is_back():
                return
            if waited > PATIENCE:
                self.compounded.append(waited)
                self.stuck += await self._describe([*held_runs, *held_duties])
                return
            await asyncio.sleep(LOOK_EVERY)
            left_runs, left_duties = await patiently(
                lambda: self._journal.ask(lambda tx: (_runs_of(tx, mine), _duties_of(tx, mine)))
            )
            is_alone = self._trouble() == trouble
            held_runs = self._kept(held_runs, left_runs, since, is_alone and self.runs)
            held_duties = self._kept(held_duties, left_duties, since, is_alone and self.duties)

    async def _describe(self, names: list[str]) -> list[str]:
        def ask(tx: Transaction) -> list[str]:
            held = sa.select(leases).where(leases.c.tenant_id == TENANT, leases.c.name.in_(names))
            open_still = sa.select(runs).where(runs.c.tenant_id == TENANT, runs.c.id.in_(names))
            rows = [*tx.execute(held).mappings(), *tx.execute(open_still).mappings()]
            shown = ("name", "id", "state", "owner", "fence", "until", "lease_until", "swept_at")
            return [
                f"at {tx.now}: { {name: str(row[name]) for name in shown if name in row} }"
                for row in rows
            ]

        return await patiently(lambda: self._journal.ask(ask))

    def _kept(
        self, before: Held, now: Held, since: float, into: list[float] | Literal[False]
    ) -> Held:
        kept = {name: fence for name, fence in before.items() if now.get(name) == fence}
        if before and not kept:
            (self.compounded if into is False else into).append(time.monotonic() - since)
        return kept


def _runs_of(tx: Transaction, owners: Sequence[str]) -> Held:
    statement = sa.select(runs.c.id, runs.c.fence).where(
        runs.c.tenant_id == TENANT,
        runs.c.state == RunState.RUNNING.value,
        runs.c.owner.in_(owners),
    )
    return {str(row.id): int(row.fence) for row in tx.execute(statement)}


def _duties_held_by(tx: Transaction, owners: Sequence[str]) -> Held:
    in_force = sa.select(leases.c.name).where(
        leases.c.tenant_id == TENANT, leases.c.until >= tx.now
    )
    names = set(tx.execute(in_force).scalars())
    return {name: fence for name, fence in _duties_of(tx, owners).items() if name in names}


def _duties_of(tx: Transaction, owners: Sequence[str]) -> Held:
    statement = sa.select(leases.c.name, leases.c.fence).where(
        leases.c.tenant_id == TENANT, leases.c.owner.in_(owners), leases.c.name.like("duty/%")
    )
    return {str(row.name): int(row.fence) for row in tx.execute(statement)}
