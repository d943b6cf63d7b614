"""The same over HTTPS: quell's own connectors, a simulated tenant, and people who edit meanwhile.

Edits go through the simulator's control interface while sync is at work; what a PATCH overwrote
inside its window is what the simulator counts, and nothing else may be lost.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
from tests.plugins.conftest import SourceDesk

from quell.domain.ids import SourceId, TenantId, WorkerId
from quell.journal import Journal, conflicts, incident_writes
from quell.sync import Sync, SyncPolicy
from quell_defender import DefenderIncidents
from quell_microsoft.simulator.server import SimulatorOptions, start
from quell_sentinel import SentinelIncidents

__all__ = ["Tenant", "play_over_https", "soak"]

TENANT = TenantId("t")
INCIDENTS = 6
PASSES = 12
#: the same field, as Defender and as Sentinel call it
TEXTS = (
    ("displayName", "title"),
    ("description", "description"),
    ("resolvingComment", "classificationComment"),
)
CHOICES: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"severity": "high"}, {"severity": "High"}),
    ({"severity": "low"}, {"severity": "Low"}),
    ({"status": "inProgress"}, {"status": "Active"}),
    ({"status": "active"}, {"status": "New"}),
)


@dataclass(slots=True, kw_only=True)
class Edit:
    """A text that somebody gave a field of a copy; nobody else uses it."""

    text: str
    place: tuple[str, str, str]


@dataclass(slots=True, kw_only=True)
class Tenant:
    """A simulated tenant with quell between its queues, and what people did there."""

    desk: SourceDesk
    journal: Journal
    sync: Sync
    control: httpx.AsyncClient
    defender: SourceId
    name_for: Callable[[str], str]
    chance: random.Random
    ids: list[str] = field(default_factory=list[str])
    edits: list[Edit] = field(default_factory=list[Edit])
    remarks: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    counts: Counter[str] = field(default_factory=Counter[str])

    # -- people --------------------------------------------------------------------------------

    async def work(self, acts: int) -> None:
        """Do so many things, in either queue, with pauses in which sync gets its turn."""
        for _ in range(acts):
            await self.act()
            await asyncio.sleep(self.chance.random() * 0.02)

    async def act(self) -> None:
        """Do one thing to one incident."""
        native_id = self.chance.choice(self.ids)
        is_copy = self.chance.random() < 0.5 and self._copy(native_id) is not None
        kind = self.chance.choice(["text", "text", "text", "choice", "remark"])
        number = self.counts["edits"] = self.counts["edits"] + 1
        if kind == "remark":
            await self._say(native_id, f"remark-{number};", is_copy)
            return
        if kind == "choice":
            here, there = self.chance.choice(CHOICES)
        else:
            names, text = self.chance.choice(TEXTS), f"edit-{number};"
            here, there = {names[0]: text}, {names[1]: text}
            place = ("copy" if is_copy else "origin", native_id, names[0])
            self.edits.append(Edit(text=text, place=place))
        if is_copy:
            await self._ask("PATCH", self._copy_path(native_id), there)
        else:
            await self._ask("PATCH", f"/defender/incidents/{native_id}", here)

    async def _say(self, native_id: str, text: str, is_copy: bool) -> None:
        self.remarks.append((native_id, text))
        if is_copy:
            await self._ask("POST", f"{self._copy_path(native_id)}/comments", {"message": text})
        else:
            path = f"/defender/incidents/{native_id}/comments"
            await self._ask("POST", path, {"comment": text})

    async def begin(self) -> None:
        """Have some incidents in the queue where they begin, and copies of them."""
        for number in range(INCIDENTS):
            body = {"displayName": f"incident {number}", "severity": "medium"}
            answer = await self._ask("POST", "/defender/incidents", body)
            self.ids.append(str(answer["id"]))
        await self.settle()

    def _copy(self, native_id: str) -> Any:
        name = self.name_for(f"{TENANT}/{self.defender}/{native_id}")
        return self.desk.tenant.workspaces[0].incidents.get(name)

    def _copy_path(self, native_id: str) -> str:
        name = self.name_for(f"{TENANT}/{self.defender}/{native_id}")
        return f"/sentinel/incidents/{name}"

    async def _ask(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.control.request(method, f"/_simulator{path}", json=body)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    # -- sync ----------------------------------------------------------------------------------

    async def pass_once(self) -> None:
        """Run one pass, after some of the tenant's time."""
        self.desk.tenant.clock.advance(60)
        await self.sync.pass_once()
        self.counts["passes"] += 1

    async def settle(self) -> None:
        """Go on until nothing is left to do."""
        for _ in range(PASSES):
            self.desk.tenant.clock.advance(600)
            report = await self.sync.pass_once()
            if report.is_quiet and not self.journal.ask_now(incident_writes.has_open(TENANT)):
                return

    # -- what must be so -----------------------------------------------------------------------

    async def wrongs(self) -> list[str]:
        """List all that is wrong once nobody does anything any more."""
        await self.settle()
        said = [str(one) for one in (await self.sync.compare()).disagreements]
        said += self._lost_texts(await self._lost_in_windows())
        said += self._lost_remarks()
        before = len(self.desk.tenant.ledger.writes)
        await self.settle()
        more = self.desk.tenant.ledger.writes[before:]
        self.counts["conflicts"] = len(self._on_record())
        return said + [f"a further pass wrote {one}" for one in more]

    async def _lost_in_windows(self) -> set[str]:
        answer = await self._ask("GET", "/overwrites", {})
        self.counts["exempt losses"] = int(answer["inWindow"])
        return {str(one["lost"]) for one in answer["value"] if one["inWindow"]}

    def _on_record(self) -> list[str]:
        rows = self.journal.ask_now(conflicts.listed(TENANT, limit=100_000))
        return [msgspec.json.encode(row.body).decode() for row in rows]

    def _lost_texts(self, exempt: set[str]) -> list[str]:
        last = {edit.place: edit.text for edit in self.edits}
        told = msgspec.json.encode(self.desk.tenant.ledger.writes).decode()
        told += "".join(self._on_record()) + self._shown()
        return [
            f"{edit.text} of {edit.place} is lost without a word"
            for edit in self.edits
            # somebody who edits the same field of the same copy again has seen it
            if last[edit.place] == edit.text and edit.text not in told and edit.text not in exempt
        ]

    def _shown(self) -> str:
        bodies = [one.body for one in self.desk.tenant.queue.incidents.values()]
        copies = [self._copy(native_id).properties for native_id in self.ids]
        return msgspec.json.encode([bodies, copies]).decode()

    def _lost_remarks(self) -> list[str]:
        said: list[str] = []
        for native_id, text in self.remarks:
            body = self.desk.tenant.queue.incidents[native_id].body
            copy = self._copy(native_id)
            here = msgspec.json.encode(body.get("comments", [])).decode()
            there = "".join(one.properties["message"] for one in copy.comments.values())
            counts = (here.count(text), there.count(text))
            said += [f"{text} of {native_id} is there {counts} times"] * (counts != (1, 1))
        return said


async def play_over_https(seed: int, edits: int) -> tuple[list[str], Counter[str]]:
    """Play one tenant's day; gives what went wrong, and counts."""
    with start(SimulatorOptions(config={"throttle_scale": 0})) as simulator:
        desk = SourceDesk(simulator)
        journal = Journal.open("sqlite://", clock=desk.clock)
        headers = {"X-Simulator-Token": simulator.tenant.control_token}
        async with httpx.AsyncClient(
            base_url=simulator.base_url, verify=desk_context(desk), headers=headers, timeout=60
        ) as control:
            tenant = _tenant(desk, journal, control, seed)
            wrongs = await _day(tenant, edits)
        await desk.close()
        journal.close()
        return wrongs, tenant.counts


def desk_context(desk: SourceDesk) -> Any:
    """Trust the simulator's own authority."""
    import ssl

    return ssl.create_default_context(cafile=str(desk.simulator.ca_file))


def _tenant(desk: SourceDesk, journal: Journal, control: httpx.AsyncClient, seed: int) -> Tenant:
    (defender,) = DefenderIncidents.build(desk.context)
    (sentinel,) = SentinelIncidents.build(desk.context)
    sync = Sync(
        journal=journal,
        tenant_id=TENANT,
        sources=[(defender, "detects"), (sentinel, "mirrors")],
        policy=SyncPolicy(mode="replica"),
        clock=desk.clock,
        worker=WorkerId("w"),
        wake=lambda: None,
        hmac_key=b"k" * 32,
    )
    return Tenant(
        desk=desk,
        journal=journal,
        sync=sync,
        control=control,
        defender=defender.source_id,
        name_for=sentinel.name_for,
        chance=random.Random(seed),
    )


async def _day(tenant: Tenant, edits: int) -> list[str]:
    await tenant.begin()
    while tenant.counts["edits"] < edits:
        rounds: list[Awaitable[None]] = [tenant.work(min(30, edits)), tenant.pass_once()]
        await asyncio.gather(*rounds)
    return await tenant.wrongs()


def soak(*, seed: int, edits: int) -> int:
    """Play and print what it came to; 1 when anything went wrong."""
    began = time.monotonic()
    wrongs, counts = asyncio.run(play_over_https(seed, edits))
    print(*wrongs, sep="\n")
    told = ", ".join(
        f"{counts[name]} {name}" for name in ("edits", "passes", "conflicts", "exempt losses")
    )
    print(f"{told}; {len(wrongs)} failures; {time.monotonic() - began:.0f} s; seed {seed}")
    return 1 if wrongs else 0
