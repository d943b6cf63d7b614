"""What the tenant counted, held against what the journal says: nothing lost, nothing twice."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import sqlalchemy as sa
from tests.fleet_stage import TENANT

from quell.domain.ids import RunId
from quell.domain.run import EffectState, RunState
from quell.journal import Journal
from quell.journal import runs as runs_of
from quell.journal.runs import RunRef
from quell.journal.tables import effects, runs

__all__ = ["Account", "TenantBooks", "Wanted", "compare", "settle", "tell"]


@dataclass(slots=True, kw_only=True)
class Account:
    """What came out. `wrongs` is empty when both books agree and nothing is lost or doubled."""

    runs: int = 0
    states: Counter[str] = field(default_factory=Counter[str])
    ordered: int = 0
    done: int = 0
    lost: int = 0
    doubled: int = 0
    refused: int = 0
    #: devices about which the two books differ
    differing: int = 0
    reasons: Counter[str] = field(default_factory=Counter[str])
    #: runs with an effect that failed for good, and was never ordered
    refused_runs: list[str] = field(default_factory=list[str])
    wrongs: list[str] = field(default_factory=list[str])


class TenantBooks:
    """The simulated tenant's own account of itself, read past every line that can be cut."""

    def __init__(self, ready: Mapping[str, Any]) -> None:
        self._http = httpx.AsyncClient(
            base_url=f"{ready['base_url']}/_simulator",
            verify=ssl.create_default_context(cafile=str(ready["ca_file"])),
            headers={"X-Simulator-Token": str(ready["control_token"])},
            timeout=60,
            trust_env=False,
        )

    async def facts(self) -> dict[str, Any]:
        """Read everything that is so in the tenant."""
        answer = await self._http.get("/facts")
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body

    async def release(self, count: int) -> None:
        """Let so many incidents happen."""
        (await self._http.post("/release", json={"count": count})).raise_for_status()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._http.aclose()


@dataclass(frozen=True, slots=True)
class Wanted:
    """One effect as the journal has it."""

    run_id: str
    action: str
    state: EffectState
    device: str
    reason: str


async def settle(journal: Journal, books: TenantBooks, submitted: Iterable[RunId]) -> Account:
    """Compare the two books when everything is quiet."""
    facts = await books.facts()
    states = await journal.ask(_states)
    return compare(facts, states, await journal.ask(_effects), submitted)


async def tell(journal: Journal, run_id: str) -> list[str]:
    """Tell what happened in a run, in lines."""
    stored = await journal.ask(runs_of.events(RunRef(TENANT, RunId(run_id))))
    return [f"{one.at:%H:%M:%S.%f} {one.kind} {one.body}" for one in stored]


def compare(
    facts: Mapping[str, Any],
    states: Mapping[str, RunState],
    wanted: Sequence[Wanted],
    submitted: Iterable[RunId],
) -> Account:
    """Hold what the tenant counted against how runs and effects stand in the journal. Pure."""
    account = Account()
    account.runs = len(states)
    account.states = Counter(str(state) for state in states.values())
    _check_runs(account, states, list(submitted))
    _check_devices(account, facts, [one for one in wanted if one.action == "device.isolate"])
    _check_remarks(account, facts)
    return account


def _check_runs(account: Account, states: Mapping[str, RunState], submitted: list[RunId]) -> None:
    missing = [run_id for run_id in submitted if run_id not in states]
    open_still = [run_id for run_id, state in states.items() if not state.is_final]
    account.lost += len(missing) + len(open_still)
    if missing:
        account.wrongs.append(f"{len(missing)} runs are not in the journal: {missing[:3]}")
    if open_still:
        account.wrongs.append(f"{len(open_still)} runs have not ended: {open_still[:3]}")


def _check_devices(account: Account, facts: Mapping[str, Any], wanted: Sequence[Wanted]) -> None:
    """Each device is wanted by one run: it is isolated by one order, or the journal says why not."""
    ordered = {str(one["id"]): int(one["accepted"].get("Isolate", 0)) for one in facts["machines"]}
    account.ordered = sum(ordered.values())
    for effect in wanted:
        count = ordered.pop(effect.device, 0)
        is_done = effect.state is EffectState.DONE
        account.done += is_done
        if not is_done and count == 0:
            account.refused += 1
            account.reasons[f"{effect.state}: {effect.reason}"] += 1
            account.refused_runs.append(effect.run_id)
        account.doubled += count > 1
        account.lost += is_done and count == 0
        if count != is_done:
            account.differing += 1
            account.wrongs.append(
                f"{effect.device[-6:]}: ordered {count} times, and the journal says "
                f"{effect.state} {effect.reason!r}"
            )
    stray = [device for device, count in ordered.items() if count]
    if stray:
        account.wrongs.append(f"ordered, and not in the journal: {stray[:3]}")


def _check_remarks(account: Account, facts: Mapping[str, Any]) -> None:
    """Each incident got one remark, and one copy."""
    released = [one for one in facts["incidents"] if one["released"]]
    for incident in released:
        if incident["comments"] != 1:
            account.doubled += incident["comments"] > 1
            account.lost += incident["comments"] == 0
            account.wrongs.append(f"incident {incident['id']} has {incident['comments']} remarks")
    copies = Counter(
        str(copy["title"]) for place in facts["sentinel"] for copy in place["incidents"]
    )
    for incident in released:
        if copies[str(incident["displayName"])] != 1:
            account.wrongs.append(f"incident {incident['id']} has not one copy")


def _states(tx: Any) -> dict[str, RunState]:
    rows = tx.execute(sa.select(runs.c.id, runs.c.state).where(runs.c.tenant_id == TENANT))
    return {str(row.id): RunState(row.state) for row in rows}


def _effects(tx: Any) -> list[Wanted]:
    columns = (
        effects.c.run_id,
        effects.c.action,
        effects.c.state,
        effects.c.target,
        effects.c.reason,
    )
    rows = tx.execute(sa.select(*columns).where(effects.c.tenant_id == TENANT))
    return [
        Wanted(row.run_id, row.action, EffectState(row.state), _device_of(row.target), row.reason)
        for row in rows
    ]


def _device_of(target: Mapping[str, Any]) -> str:
    """Give the device's id in its product, which both books know it by."""
    return next((str(one["value"]) for one in target["aliases"] if one["kind"] == "mde"), "")
