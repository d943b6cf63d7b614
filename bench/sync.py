"""Sync of many changed incidents: incidents per second, and calls beside the least possible."""

from __future__ import annotations

import asyncio
import math
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.figure import Report, check, median, spread
from bench.place import DURABILITY
from bench.settings import write_settings
from bench.tenant import SimulatedTenant, simulated_tenant
from quell.domain.ports import IncidentSource, NewIncident, ObservedIncident
from quell.runtime import Runtime, TenantRuntime, open_runtime

__all__ = ["calls_since", "measure"]

INCIDENTS = 1000
#: most rounds; none begins once the time is over
ROUNDS, BUDGET = 3, 100.0
#: the largest pages that the products give
DEFENDER_PAGE, SENTINEL_PAGE = 50, 1000
#: calls of the bare client that are out at a time, as many as the writer of sync has
AT_ONCE = 8
Carry = Callable[[ObservedIncident], Awaitable[None]]
#: sign-in is once an hour and no part of a round
SIGN_IN = ("/oauth2/", "/_simulator", "openid", "/discovery")


@dataclass(slots=True, kw_only=True)
class Round:
    """One pass over all changed incidents: seconds and calls by phase."""

    seconds: dict[str, float] = field(default_factory=dict[str, float])
    calls: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])

    @property
    def total(self) -> float:
        """Give the seconds of all phases in which a change comes across."""
        return self.seconds["read"] + self.seconds["write"]


def measure() -> Report:
    """Let everything change, and bring it across: quell and a bare client by turns."""
    report = Report(
        name="sync",
        rounds=0,
        settings=f"{INCIDENTS} incidents changed in Defender, one alert each; "
        f"{DURABILITY}; simulator with HTTPS on loopback, no limits",
    )
    with (
        tempfile.TemporaryDirectory(prefix="quell-bench-") as folder,
        simulated_tenant() as ours,
        simulated_tenant() as bare,
        open_runtime(write_settings(Path(folder) / "ours", ours)) as runtime,
        open_runtime(write_settings(Path(folder) / "bare", bare)) as plain,
    ):
        _take_rounds(report, runtime, ours, plain, bare)
    return report


def _take_rounds(
    report: Report,
    runtime: Runtime,
    ours: SimulatedTenant,
    plain: Runtime,
    bare: SimulatedTenant,
) -> None:
    for tenant in (ours, bare):
        tenant.fill(INCIDENTS)
    first = runtime.run(_quell_round(runtime.tenant(), ours))
    check(report, "copies after the first pass", ours.copies("medium"), INCIDENTS)
    client = BareClient(plain.tenant())
    plain.run(client.make_copies())
    rounds: list[Round] = []
    alone: list[Round] = []
    begin = time.monotonic()
    for number in range(ROUNDS):
        if number and time.monotonic() - begin > BUDGET:
            break
        turn = 2 + number * 2  # never the severity that is there already
        severity = bare.change(turn)
        alone.append(plain.run(_bare_round(client, bare)))
        check(report, f"bare round {number + 1}, {severity}", bare.copies(severity), INCIDENTS)
        severity = ours.change(turn)
        rounds.append(runtime.run(_quell_round(runtime.tenant(), ours)))
        check(report, f"quell round {number + 1}, {severity}", ours.copies(severity), INCIDENTS)
    report.rounds = len(rounds)
    _add(report, first, rounds, alone)
    comparison = runtime.run(runtime.tenant().sync.compare())
    check(report, "pairs compared afresh", comparison.pairs, INCIDENTS)
    check(report, "disagreements", len(comparison.disagreements), 0)


# -- quell ---------------------------------------------------------------------------------------


async def _quell_round(tenant: TenantRuntime, simulated: SimulatedTenant) -> Round:
    """Read, write, then read once more: our own echoes, and nothing new."""
    taken = Round()
    async with Phase(taken, "read", simulated):
        await _poll(tenant)
    async with Phase(taken, "write", simulated):
        while (await tenant.sync.apply_writes(INCIDENTS)).applied:
            pass
    async with Phase(taken, "echo", simulated):
        await _poll(tenant)
    async with Phase(taken, "idle", simulated):
        await _poll(tenant)
    return taken


async def _poll(tenant: TenantRuntime) -> None:
    for source, _ in tenant.sources:
        await tenant.sync.poll(source.source_id)


class Phase:
    """Times a phase and counts the calls in it, at the tenant."""

    def __init__(self, taken: Round, name: str, simulated: SimulatedTenant) -> None:
        self._taken = taken
        self._name = name
        self._simulated = simulated

    async def __aenter__(self) -> None:
        self._calls = self._simulated.calls()
        self._begin = time.perf_counter()

    async def __aexit__(self, *_: object) -> None:
        self._taken.seconds[self._name] = time.perf_counter() - self._begin
        self._taken.calls[self._name] = calls_since(self._calls, self._simulated.calls())


def calls_since(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Count the calls between two looks, sign-ins left out."""
    found = {name: count - before.get(name, 0) for name, count in after.items()}
    return {
        name: count
        for name, count in found.items()
        if count and not any(part in name for part in SIGN_IN)
    }


# -- the bare client -----------------------------------------------------------------------------


class BareClient:
    """Carries severities across with the plugins' own clients: no journal, no rules, no looks."""

    def __init__(self, tenant: TenantRuntime) -> None:
        sources = {source.system: source for source, _ in tenant.sources}
        self._defender: IncidentSource = sources["defender"]
        self._sentinel: IncidentSource = sources["sentinel"]
        self._cursor: str | None = None
        self._copies: dict[str, ObservedIncident] = {}

    async def make_copies(self) -> None:
        """Make a copy of everything that is there."""
        await self._each(await self.read(), self._create)

    async def read(self) -> list[ObservedIncident]:
        """Read what changed."""
        found: list[ObservedIncident] = []
        async for page in self._defender.poll(self._cursor):
            found += page.incidents
            self._cursor = page.cursor
        return found

    async def write(self, changed: list[ObservedIncident]) -> None:
        """Write the severity of each to its copy."""
        await self._each(changed, self._update)

    async def _each(self, seen: list[ObservedIncident], do: Carry) -> None:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(incident: ObservedIncident) -> None:
            async with slots:
                await do(incident)

        async with asyncio.TaskGroup() as group:
            for incident in seen:
                group.create_task(one(incident))

    async def _create(self, seen: ObservedIncident) -> None:
        origin = f"{seen.source_id}/{seen.native_id}"
        name = self._sentinel.name_for(origin)
        new = NewIncident(native_id=name, created_for=origin, fields=seen.fields)
        self._copies[seen.native_id] = await self._sentinel.create(new)

    async def _update(self, seen: ObservedIncident) -> None:
        base = self._copies[seen.native_id]
        raw = self._sentinel.project("severity", seen.fields, base.native)
        self._copies[seen.native_id] = await self._sentinel.update(base, {"severity": raw})


async def _bare_round(client: BareClient, simulated: SimulatedTenant) -> Round:
    taken = Round()
    async with Phase(taken, "read", simulated):
        changed = await client.read()
    async with Phase(taken, "write", simulated):
        await client.write(changed)
    return taken


# -- figures -------------------------------------------------------------------------------------


def _add(report: Report, first: Round, rounds: list[Round], alone: list[Round]) -> None:
    rates = [INCIDENTS / one.total for one in rounds]
    ratios = [one.total / bare.total for one, bare in zip(rounds, alone, strict=True)]
    made = _listed(first.calls["read"] | first.calls["write"])
    report.add("first contact, copies made", INCIDENTS / first.total, "incidents/s", made)
    report.add("changed incidents, read and written", median(rates), "incidents/s", spread(rates))
    report.add("the same by a bare client", INCIDENTS / _median(alone), "incidents/s")
    report.add("quell / bare client, time", median(ratios), "×", spread(ratios))
    for phase in ("read", "write"):
        seconds, plainly = (
            median([one.seconds[phase] for one in which]) for which in (rounds, alone)
        )
        report.add(f"{phase}: time for all", seconds, "s", f"bare client {plainly:.3g} s")
    least = {
        # a list tells everything but alerts; those come with as many lists of alerts
        "read": math.ceil(INCIDENTS / DEFENDER_PAGE) + math.ceil(INCIDENTS / 1000) + 1,
        "write": INCIDENTS,
        "echo": 1 + math.ceil(INCIDENTS / SENTINEL_PAGE),
        "idle": 2,
    }
    for phase, fewest in least.items():
        calls = rounds[-1].calls[phase]
        total = sum(calls.values())
        report.add(f"{phase}: calls", total, f"calls, least {fewest}", _listed(calls))
    every = sum(sum(rounds[-1].calls[phase].values()) for phase in ("read", "write"))
    fewest = least["read"] + least["write"]
    report.add("read and write: calls", every, f"calls, least {fewest}", f"{every / fewest:.2f} ×")


def _median(rounds: list[Round]) -> float:
    return median([one.total for one in rounds])


def _listed(calls: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(calls.items()))
