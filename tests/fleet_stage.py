"""A fleet for tests: a simulated tenant, PostgreSQL or SQLite, Redis, and real Celery workers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Sequence
from pathlib import Path
from typing import Any, cast

import redis
import sqlalchemy as sa
import tomli_w

from quell.cli.activation import activate_file
from quell.domain.approval import Answer
from quell.domain.ids import TenantId
from quell.domain.outcome import Succeeded
from quell.domain.run import EffectState, RunState
from quell.domain.simulator import SimulatorControl
from quell.errors import StateError
from quell.journal import approvals, cursors, effects, incident_writes, incidents, runs
from quell.journal.tables import attempts
from quell.runtime import Runtime, open_runtime

__all__ = [
    "ROOT",
    "TENANT",
    "Fleet",
    "Monitor",
    "check_every_effect_is_there_once",
    "connect_redis",
    "environment",
    "open_runs",
    "until",
    "workers_that_worked",
]

ROOT = Path(__file__).parents[1]
TENANT = TenantId("lab")
PERSON = "tester"
TIME_SCALE = 60
PATIENCE = 40.0


class Fleet:
    """A tenant, its journal and its workers; every process is ended at the end."""

    def __init__(self, folder: Path, journal: str, redis_url: str | None) -> None:
        self.folder = folder
        self.config = folder / "quell.toml"
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._simulator = spawn(
            folder / "simulator.log",
            ["-m", "quell", "simulate", "microsoft", "--ready-file", str(folder / "ready.json")],
            ["--story", "--queued", "--time-scale", str(TIME_SCALE)],
        )
        ready_file = folder / "ready.json"
        wait_until(ready_file.exists, "the simulator answers")
        self.ready: dict[str, Any] = json.loads(ready_file.read_text())
        self._write_settings(journal, redis_url)

    def _write_settings(self, journal: str, redis_url: str | None) -> None:
        with open_runtime(self._empty_config()) as runtime:
            sections = runtime.registry.simulator("microsoft").settings_from(self.ready)
            tenant = {"simulated": True, "quota_scale": TIME_SCALE, **sections}
        content = {
            "state_dir": str(self.folder / "state"),
            "journal": journal,
            "logging": {"format": "json"},
            "sync": {"mode": "replica"},
            "tenant": {TENANT: tenant},
        }
        if redis_url is not None:
            content["redis_url"] = redis_url
        self.config.write_text(tomli_w.dumps(content))

    def _empty_config(self) -> Path:
        empty = self.folder / "empty.toml"
        empty.write_text(tomli_w.dumps({"state_dir": str(self.folder / "empty")}))
        return empty

    @contextlib.contextmanager
    def opened(self) -> Generator[tuple[Runtime, SimulatorControl]]:
        """Open the journal as an operator would, with every shipped playbook active."""
        with open_runtime(self.config) as runtime:
            for shipped in runtime.registry.playbooks:
                activate_file(runtime, TENANT, shipped.path, by=PERSON)
            control = runtime.registry.simulator("microsoft").control(self.ready)
            try:
                yield runtime, control
            finally:
                runtime.run(_close(control))

    def start_worker(self, name: str) -> None:
        """Start a worker the documented way, from the folder that `worker.py` is in."""
        self.workers[name] = spawn(
            self.log_of(name),
            ["-m", "celery", "-A", "worker", "worker", "-n", f"{name}@%h"],
            cwd=ROOT,
            QUELL_CONFIG=str(self.config),
        )

    def start_embedded(self, name: str) -> None:
        """Start `quell up`."""
        arguments = ["-m", "quell", "--config", str(self.config), "up"]
        self.workers[name] = spawn(self.log_of(name), arguments)

    def stop_worker(self, name: str) -> int:
        """Stop a worker in good order; gives its exit code."""
        process = self.workers.pop(name)
        process.terminate()
        return process.wait(PATIENCE)

    def kill_worker(self, name: str) -> None:
        """Kill a worker and whatever it started, at once and with no word."""
        process = self.workers.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)

    def log_of(self, name: str) -> Path:
        """Give the file with what a worker said."""
        return self.folder / f"{name}.log"

    def close(self) -> None:
        """End every process."""
        for process in (*self.workers.values(), self._simulator):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.folder / "state", ignore_errors=True)

    # -- what the journal and the tenant say ---------------------------------------------------

    async def release(
        self, runtime: Runtime, control: SimulatorControl, beat: str, *, wait: bool = True
    ) -> None:
        """Let incidents be detected, and wait until each has its copy."""
        await until(lambda: _was_polled(runtime), "each source was polled")
        await control.play(beat)
        if wait:
            await until(lambda: _is_mirrored(control), f"the incidents of {beat} are mirrored")

    async def finish(self, runtime: Runtime, control: SimulatorControl) -> None:
        """Answer what is asked until nothing is under way any more."""

        async def is_quiet() -> bool:
            await approve_all(runtime)
            return await _is_quiet(runtime, control)

        await until(is_quiet, "everything is quiet", looks=3)


async def _close(control: SimulatorControl) -> None:
    await control.close()


async def approve_all(runtime: Runtime) -> None:
    """Approve every open question, as a person would."""
    for question in await runtime.journal.ask(approvals.listed(TENANT, state=Answer.OPEN)):
        answer = approvals.answer(
            TENANT, question.id, Answer.APPROVED, by=PERSON, chain=runtime.worker_id
        )
        with contextlib.suppress(StateError):  # it was withdrawn meanwhile
            await runtime.journal.commit(answer)


async def open_runs(runtime: Runtime) -> list[runs.RunRow]:
    """List runs that have not ended."""
    listed = await runtime.journal.ask(runs.listed(TENANT, limit=1000))
    return [run for run in listed if not run.state.is_final and run.state is not RunState.PARKED]


async def count_effects(
    runtime: Runtime, states: Sequence[EffectState]
) -> Counter[tuple[str, str]]:
    """Count the journal's effects in some states by action and by each name of the target."""
    rows = await runtime.journal.ask(effects.listed(TENANT, states=states, limit=100_000))
    return Counter(
        (row.action, name)
        for row in rows
        for name in {str(alias["value"]) for alias in row.target["aliases"]}
    )


async def check_every_effect_is_there_once(
    runtime: Runtime, control: SimulatorControl, *, was_killed: bool = False
) -> None:
    """Compare what the tenant accepted with what the journal says was done, and both queues.

    What a killed worker had sent is found by the next one. Where the product's record does not
    prove whose it is, the journal says "already so", and the tenant's count is one of these.
    """
    facts = await control.facts()
    done = await count_effects(runtime, [EffectState.DONE])
    found = await count_effects(runtime, [EffectState.ALREADY])
    accepted = {(line.what, line.alias): line.accepted for line in facts.lines if line.accepted}
    repeated = {
        key: (count, done[key])
        for key, count in accepted.items()
        if count > done[key] + (found[key] if was_killed else 0)
    }

    tangible = {action for action, _ in accepted}
    missing = [
        (row.action, row.target["name"])
        for row in await runtime.journal.ask(
            effects.listed(TENANT, states=[EffectState.DONE], limit=100_000)
        )
        # with a caveat the product took the call and, as documented, did nothing: a guest's sessions
        if row.action in tangible
        and not (isinstance(row.outcome, Succeeded) and row.outcome.caveat)
        and not any((row.action, str(one["value"])) in accepted for one in row.target["aliases"])
    ]

    assert accepted
    assert not missing, f"done, and unknown to the tenant: {missing}"
    assert not repeated, f"(accepted, ordered): {repeated}"
    assert facts.protected_untouched
    comparison = await runtime.tenant().sync.compare()
    assert list(comparison.disagreements) == []
    assert comparison.pairs >= facts.incidents - facts.merged


def workers_that_worked(runtime: Runtime) -> Counter[str]:
    """Count the attempts at steps by worker."""
    number = sa.func.count().label("number")
    counted = sa.select(attempts.c.worker, number).group_by(attempts.c.worker)
    rows = runtime.journal.ask_now(lambda tx: tx.execute(counted).mappings().all())
    return Counter({str(row["worker"]): int(row["number"]) for row in rows})


async def _was_polled(runtime: Runtime) -> bool:
    reads = [
        await runtime.journal.ask(cursors.get(TENANT, source.source_id))
        for source, _ in runtime.tenant().sources
    ]
    return all(read.succeeded_at is not None for read in reads)


async def _is_mirrored(control: SimulatorControl) -> bool:
    facts = await control.facts()
    return facts.copies >= facts.incidents


async def _is_quiet(runtime: Runtime, control: SimulatorControl) -> bool:
    ask = runtime.journal.ask
    return not (
        not await _is_mirrored(control)
        or bool(await ask(incidents.unmatched(TENANT, 1)))
        or await ask(incident_writes.has_open(TENANT))
        or bool(await open_runs(runtime))
    )


async def until(
    holds: Callable[[], Awaitable[bool]], what: str, *, looks: int = 1, patience: float = 80.0
) -> None:
    """Wait until something holds at so many looks in a row."""
    deadline = time.monotonic() + patience
    seen = 0
    while seen < looks:
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        seen = seen + 1 if await holds() else 0
        await asyncio.sleep(0.3)


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait in this thread until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)


def environment(**more: str) -> dict[str, str]:
    """Give the environment of a process that nobody's own settings leak into."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("QUELL_")}
    return {**own, **more}


def spawn(
    log: Path, *arguments: list[str], cwd: Path | None = None, **more: str
) -> subprocess.Popen[bytes]:
    """Start Python in a process group of its own, with what it says in a file."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, *(one for some in arguments for one in some)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            cwd=cwd,
            env=environment(**more),
        )


def connect_redis(url: str) -> Any:  # the client's own types are unfinished
    """Connect to a Redis server."""
    # whoever listens waits for as long as nothing happens
    return cast("Any", redis.Redis).from_url(url, socket_timeout=None)


class Monitor:
    """Keeps everything that is pushed to lists in Redis while it listens."""

    def __init__(self, url: str) -> None:
        self.pushed: list[str] = []
        self._client = connect_redis(url)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._ready = threading.Event()
        self._url = url

    def __enter__(self) -> Monitor:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with connect_redis(self._url) as other:
            other.ping()  # something to listen to, so that it sees the sign to stop
        self._thread.join(PATIENCE)
        self._client.close()

    def _listen(self) -> None:
        with self._client.monitor() as monitor:
            self._ready.set()
            for heard in monitor.listen():
                if str(heard["command"]).split(" ")[0].upper() in {"LPUSH", "RPUSH"}:
                    self.pushed.append(str(heard["command"]))
                if self._stop.is_set():
                    return
