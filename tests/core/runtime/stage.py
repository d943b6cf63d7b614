"""A whole process with one tenant and one action that ends when the test says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import tomli_w
from tests.engine_world import TENANT, JournalClock, World, isolate

from quell.domain.action import Call, Effect, NoParams, action
from quell.domain.ids import IncidentId
from quell.domain.outcome import Outcome, Succeeded
from quell.domain.playbook import IncidentEvent
from quell.engine import RunRef
from quell.journal import Journal, incidents, runs, workers
from quell.journal.runs import RunRow
from quell.plugins import Lock, load_plugins
from quell.runtime import Runtime
from quell.settings import load_settings

__all__ = ["Hands", "Stage", "staged", "until"]

PLAYBOOK = """\
quell: 1
playbook: hold
trigger: {incident: created}
steps:
  - {id: first, do: lab.look}
  - {id: second, do: lab.look}
"""


class Hands:
    """What the action does: it notes that it was begun, and waits."""

    def __init__(self) -> None:
        self.begun = 0
        self.at_once = 0
        self.most_at_once = 0
        self.may_end = asyncio.Event()

    async def work(self) -> None:
        self.begun += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.may_end.wait()
        finally:
            self.at_once -= 1


class Stage:
    """A process, the journal it works on, and what it has in hand."""

    def __init__(self, runtime: Runtime, hands: Hands) -> None:
        self.runtime = runtime
        self.hands = hands
        self.stop = asyncio.Event()
        self.woken: list[RunRef] = []
        runtime.wake = self._wake
        self.world = World(runtime.journal, JournalClock(runtime.journal))
        self.world.engine = runtime.tenant().engine
        self._number = 0

    async def start(self) -> RunRef:
        """Let an incident start a run."""
        (row,) = await self.match()
        return row.ref

    async def match(self, text: str = PLAYBOOK) -> list[RunRow]:
        """Let an incident come about; gives what it starts, here or in the process's own duty."""
        incident_id = self._let_come(text)
        await self.world.match(incident_id)
        await until(self._is_matched)
        return await self.runtime.journal.ask(runs.listed(TENANT, incident_id=incident_id))

    def revise(self, text: str = PLAYBOOK) -> None:
        """Let an incident come about, for a duty to find."""
        self.world.revise(self._let_come(text), IncidentEvent.CREATED)

    def _let_come(self, text: str) -> IncidentId:
        self._number += 1
        self.world.activate(text)
        return self.world.add_incident(name=f"inc{self._number}")

    async def _is_matched(self) -> bool:
        return not await self.runtime.journal.ask(incidents.unmatched(TENANT, 1))

    async def up(self) -> asyncio.Task[None]:
        """Begin to work."""
        working = asyncio.create_task(self.runtime.up(self.stop))
        await until(lambda: bool(self.runtime.journal.ask_now(workers.listed())))
        await asyncio.sleep(0.01)  # it takes wake-ups as soon as it is on record
        return working

    def _wake(self, ref: RunRef, priority: int) -> None:
        self.woken.append(ref)
        self.runtime.dispatcher.offer(ref, priority)

    def close(self) -> None:
        self.world.close()


@contextlib.contextmanager
def staged(folder: Path, journal: str | None = None, **settings: Any) -> Generator[Stage]:
    """Put a process together, with settings as in a file."""
    hands = Hands()

    @action("lab.look", system="lab", target=None, effect=Effect.READ)
    async def look(call: Call[NoParams]) -> Outcome:
        """Wait until the test says so."""
        await hands.work()
        return Succeeded(data={"seen": True})

    folder.mkdir(exist_ok=True)
    config = folder / "quell.toml"
    tenant = {"simulated": True, **settings.pop("tenant", {})}
    config.write_text(tomli_w.dumps({"state_dir": "state", **settings, "tenant": {TENANT: tenant}}))
    registry = load_plugins(Lock(folder / "plugins.lock"), []).with_actions([look, isolate])
    loaded = load_settings(config, {}, registry.sections)
    runtime = Runtime(loaded, registry, Journal.open(journal or loaded.journal_url))
    stage = Stage(runtime, hands)
    try:
        yield stage
    finally:
        stage.close()
        runtime.close()


async def until(holds: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(60):
        while True:
            answer = holds()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.02)
