"""Plays a scenario to its end: load on, trouble again and again, all healed, then both books compared."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from tests.chaos.ledger import Account, tell
from tests.chaos.scenarios import Scenario
from tests.chaos.stage import Servers, Stage, open_stage

__all__ = ["Result", "play"]

#: workers of a fleet
WORKERS = 3
#: with the shipped lease, what a dead worker held is in other hands by then
LONGEST_RESUME = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a scenario went."""

    name: str
    account: Account
    #: effects that a network delivered when everybody had given them up
    in_window: int
    rounds: int
    kills: int
    #: runs that were taken over too often, and resumed by a person
    parked: int
    #: runs that a killed worker had in hand
    held: int
    #: seconds until the last run, and the last duty, of a dead worker was in other hands
    resumed: float
    duties_resumed: float
    #: the same where more trouble came in the meantime
    compounded: float
    seconds: float
    #: versions of quell that worked on it
    versions: set[str]
    today: str = version("quell")
    #: workers that ended by themselves
    ended: list[str] = field(default_factory=list[str])
    broke: list[str] = field(default_factory=list[str])
    #: what dead workers held and nobody took over
    stuck: list[str] = field(default_factory=list[str])

    @property
    def wrongs(self) -> list[str]:
        """List everything that ought not to be so, however slow the machine is."""
        return [*self.account.wrongs, *(f"something broke: {line}" for line in self.broke[:3])]

    @property
    def is_late(self) -> bool:
        """Tell whether one death alone cost more time than the shipped lease allows."""
        return max(self.resumed, self.duties_resumed) >= LONGEST_RESUME or bool(self.stuck)


async def play(
    servers: Servers,
    scenario: Scenario,
    *,
    runs: int,
    seed: int,
    rounds: int = 1,
    kills: int = 0,
    at_once: int = 150,
    workers: int = WORKERS,
    keep: Path | None = None,
) -> Result:
    """Play at least so many rounds and kills, and as many more as the load lasts."""
    began = time.monotonic()
    async with open_stage(
        servers, devices=runs, seed=seed, released=scenario.released, keep=keep
    ) as stage:
        load = stage.make_load(runs, at_once)
        load.wake_ups = scenario.wake_ups
        stage.add_workers(workers - scenario.released)
        await stage.all_up()
        ended = await _trouble(stage, scenario, rounds, kills)
        restless = await stage.quiet()
        await stage.watch.close()
        account = await stage.account()
        if restless:
            account.wrongs.append(f"it never came to rest: {restless}")
        if account.refused and not scenario.may_refuse:
            account.wrongs.append(
                f"{account.refused} effects failed, and nothing kept them from it"
            )
            account.wrongs += await tell(stage.journal, account.refused_runs[0])
        return Result(
            name=scenario.name,
            account=_outside(account) if scenario.in_window else account,
            in_window=account.differing if scenario.in_window else 0,
            rounds=stage.faults,
            kills=stage.kills,
            parked=stage.parked,
            held=stage.watch.held_runs,
            resumed=max(stage.watch.runs, default=0.0),
            duties_resumed=max(stage.watch.duties, default=0.0),
            compounded=max(stage.watch.compounded, default=0.0),
            seconds=time.monotonic() - began,
            ended=ended,
            versions=stage.versions,
            broke=stage.tracebacks(),
            stuck=stage.watch.stuck,
        )


def _outside(account: Account) -> Account:
    """Give what is left to judge where requests came later than anybody can wait for."""
    wrongs = [one for one in account.wrongs if "the journal says" not in one]
    return replace(account, doubled=0, wrongs=wrongs)


async def _trouble(stage: Stage, scenario: Scenario, rounds: int, kills: int) -> list[str]:
    """Make trouble for as long as the load lasts; gives the workers that ended by themselves."""
    ended: list[str] = []
    async with asyncio.TaskGroup() as group:
        feeding = group.create_task(stage.load.feed())
        while not feeding.done() or stage.faults < rounds or stage.kills < kills:
            stage.begun += 1
            await scenario.round(stage)
            stage.faults += 1
            ended += stage.revive()
    stage.proxies.heal()
    return ended
