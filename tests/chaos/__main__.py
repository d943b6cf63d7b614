"""Makes trouble for a fleet at work and counts: `python -m tests.chaos --runs 10000 --kills 200`.

What was done is counted at the simulated tenant and must be what the journal says. It prints
the seed, with which the same trouble is made again.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import time
from pathlib import Path

import structlog
from tests.chaos.play import Result, play
from tests.chaos.scenarios import SCENARIOS, Scenario
from tests.chaos.stage import Servers

#: scenarios whose rounds kill, and so share the kills that are asked for
DEADLY = ("kill", "kill-all", "duties", "versions")


def main() -> int:
    """Play as asked; 1 when anything is lost, doubled or otherwise wrong."""
    asked = _asked()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    chosen = [one for one in SCENARIOS if not asked.only or one.name in asked.only]
    print(f"seed {asked.seed}: {', '.join(one.name for one in chosen)}", flush=True)
    began = time.monotonic()
    results = asyncio.run(_play_all(asked, chosen))
    _tell(results, time.monotonic() - began)
    return (
        1 if len(results) < len(chosen) or any(one.wrongs or one.is_late for one in results) else 0
    )


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="runs in all, at least")
    parser.add_argument("--kills", type=int, default=20, help="kills in all, at least")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--at-once", type=int, default=150, help="runs under way at a time")
    parser.add_argument("--workers", type=int, default=3)
    names = [one.name for one in SCENARIOS]
    parser.add_argument("--only", action="append", choices=names, help="may be repeated")
    parser.add_argument("--keep", type=Path, help="folder for the workers' logs")
    return parser.parse_args()


async def _play_all(asked: argparse.Namespace, chosen: list[Scenario]) -> list[Result]:
    deadly = [one.name for one in chosen if one.name in DEADLY]
    results: list[Result] = []
    for number, scenario in enumerate(chosen):
        with Servers.running() as servers:
            try:
                result = await play(
                    servers,
                    scenario,
                    runs=-(-asked.runs // len(chosen)),
                    kills=-(-asked.kills // len(deadly)) if scenario.name in deadly else 0,
                    seed=asked.seed + number,
                    at_once=asked.at_once,
                    workers=asked.workers,
                    keep=asked.keep and asked.keep / scenario.name,
                )
            except (AssertionError, ExceptionGroup) as error:
                print(f"{scenario.name}: {error}", flush=True)
                continue
        results.append(result)
        _tell_one(result)
    return results


def _tell_one(result: Result) -> None:
    account = result.account
    parts = [
        f"{result.name:16} {account.runs:5} runs",
        f"{result.rounds} rounds",
        f"{result.kills} kills ({result.held} runs in hand)",
        f"{account.done} effects",
        f"lost {account.lost}",
        f"doubled {account.doubled}",
        f"in the window {result.in_window}",
        f"failed {account.refused}",
        f"parked {result.parked}",
        f"resumed {result.resumed:.1f} s (duties {result.duties_resumed:.1f} s",
        f"amid more trouble {result.compounded:.1f} s)",
        f"{result.seconds:.0f} s",
        *(f"{name} ended by itself" for name in result.ended),
    ]
    print(", ".join(parts), flush=True)
    for reason, count in account.reasons.most_common(5):
        print(f"  {count} x {reason}", flush=True)
    for line in result.stuck[:3]:
        print(f"  stuck: {line}", flush=True)
    for wrong in result.wrongs[-10:]:
        print(f"  wrong: {wrong}", flush=True)


def _tell(results: list[Result], seconds: float) -> None:
    accounts = [one.account for one in results]
    longest = max((max(one.resumed, one.duties_resumed) for one in results), default=0.0)
    print(
        f"in all: {sum(one.runs for one in accounts)} runs, "
        f"{sum(one.kills for one in results)} kills, {sum(one.done for one in accounts)} effects, "
        f"lost {sum(one.lost for one in accounts)}, doubled {sum(one.doubled for one in accounts)} "
        f"outside the window and {sum(one.in_window for one in results)} in it, "
        f"longest time to resume {longest:.1f} s (amid more trouble "
        f"{max((one.compounded for one in results), default=0.0):.1f} s), {seconds / 60:.0f} min"
    )


if __name__ == "__main__":
    sys.exit(main())
