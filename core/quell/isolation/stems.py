"""The worker's stem processes: one for each plugin that runs isolated, started when first needed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from quell.isolation.wire import End as EndChild
from quell.isolation.wire import (
    Ended,
    FromStem,
    Garbled,
    Limits,
    Load,
    Loaded,
    Spawn,
    ToStem,
    frame,
    receive,
)

__all__ = ["ChildProcess", "StemFailed", "Stems"]

#: seconds that a stem process may take to load its plugin
LOAD_TIMEOUT = 30.0
#: seconds that a stem process may take to end a child
END_TIMEOUT = 5.0
#: stem processes kept at a time; one that was not used for longest makes room
MOST_STEMS = 8
#: all that a stem process inherits: none of these carries a secret
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from quell.isolation.stem import main; main(int(sys.argv[2]))"
)


class StemFailed(Exception):
    """No child process can be had; `args[0]` says why."""


@dataclass(slots=True, kw_only=True)
class ChildProcess:
    """A child process, and the worker's end of the line to it."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    stem: StemProcess
    #: known once it said so; its process group has the same number
    pid: int | None = None
    #: how it ended, once it did
    status: int | None = None

    async def end(self) -> None:
        """Kill it, and whatever it began; safe to repeat, finishes even if nobody waits for it."""
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            self.status = await asyncio.shield(self.stem.end(self))


@dataclass(slots=True, kw_only=True)
class StemProcess:
    """One stem process, seen from the worker."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used_at: float = 0.0
    _numbers: count[int] = field(default_factory=lambda: count(1))
    _children: dict[int, ChildProcess] = field(default_factory=dict[int, ChildProcess])
    _ending: dict[int, asyncio.Future[int | None]] = field(
        default_factory=dict[int, "asyncio.Future[int | None]"]
    )
    _listener: asyncio.Task[None] | None = None

    @property
    def is_alive(self) -> bool:
        """Tell whether it can make children."""
        return self._listener is not None and not self._listener.done()

    @property
    def is_idle(self) -> bool:
        """Tell whether none of its children lives."""
        return not self._children

    async def load(self, order: Load) -> None:
        """Have the plugin loaded. Raises StemFailed."""
        try:
            async with asyncio.timeout(LOAD_TIMEOUT):
                self.tell(order)
                answer = await receive(self.reader, FromStem)
        except TimeoutError:
            raise StemFailed(f"the plugin {order.plugin} did not load in time") from None
        except (OSError, Garbled, asyncio.IncompleteReadError):
            raise StemFailed(f"the plugin {order.plugin} broke its process when loaded") from None
        if not isinstance(answer, Loaded) or answer.problem:
            problem = answer.problem if isinstance(answer, Loaded) else "it cannot be loaded"
            raise StemFailed(problem)
        self._listener = asyncio.create_task(self._listen())

    def tell(self, message: ToStem, *sockets: int) -> None:
        """Send a message, and sockets with it. Raises OSError where the process does not read."""
        data = frame(message)
        if socket.send_fds(self.control, [data], list(sockets)) != len(data):
            raise BrokenPipeError("a stem process does not read")

    async def spawn(self) -> ChildProcess:
        """Have a child made. Raises OSError."""
        ours, theirs = socket.socketpair()
        number = next(self._numbers)
        try:
            self.tell(Spawn(number=number), theirs.fileno())
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        child = ChildProcess(number=number, reader=reader, writer=writer, stem=self)
        self._children[number] = child
        return child

    async def end(self, child: ChildProcess) -> int | None:
        """Have a child ended, with all that it began; gives how it ended, where that is known."""
        if child.number not in self._children:
            return child.status
        waiting = self._ending.get(child.number)
        if waiting is None:
            waiting = asyncio.get_running_loop().create_future()
            self._ending[child.number] = waiting
        try:
            self.tell(EndChild(number=child.number))
            async with asyncio.timeout(END_TIMEOUT):
                return await asyncio.shield(waiting)
        except (OSError, TimeoutError):
            self.kill()
            return None
        finally:
            self._children.pop(child.number, None)
            self._ending.pop(child.number, None)

    async def _listen(self) -> None:
        """Take in how children ended, until the process is gone."""
        try:
            while True:
                message = await receive(self.reader, FromStem)
                waiting = self._ending.get(message.number) if isinstance(message, Ended) else None
                if isinstance(message, Ended) and waiting is not None and not waiting.done():
                    waiting.set_result(message.status)
        except (OSError, Garbled, asyncio.IncompleteReadError):
            for waiting in self._ending.values():
                if not waiting.done():
                    waiting.set_result(None)

    def kill(self) -> None:
        """Kill the process and its children's groups: it has not reaped them, so they are theirs."""
        for child in self._children.values():
            if child.pid is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(child.pid, signal.SIGKILL)
        self.process.kill()
        self.writer.transport.abort()

    async def close(self) -> None:
        """Let it end its children and go; then see to it that it has gone."""
        self.control.close()
        self.writer.close()
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        try:
            await asyncio.to_thread(self.process.wait, END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            await asyncio.to_thread(self.process.wait)


class Stems:
    """All stem processes of a worker. They live on one event loop."""

    def __init__(self, lock_path: Path, limits: Limits) -> None:
        self._lock_path = lock_path
        self._limits = limits
        self._stems: dict[str, StemProcess] = {}
        self._starting: dict[str, asyncio.Lock] = {}

    def living(self) -> Iterable[StemProcess]:
        """List those that are there."""
        return self._stems.values()

    async def child(self, plugin: str, beside: Sequence[str]) -> ChildProcess:
        """Make a child process that has a plugin loaded. Raises StemFailed."""
        for _ in range(2):
            stem = await self._stem(plugin, beside)
            stem.used_at = time.monotonic()
            try:
                return await stem.spawn()
            except OSError:
                # it died since it was last used: once more with a new one
                await self._drop(plugin)
        raise StemFailed("its process cannot be started")

    async def _stem(self, plugin: str, beside: Sequence[str]) -> StemProcess:
        async with self._starting.setdefault(plugin, asyncio.Lock()):
            stem = self._stems.get(plugin)
            if stem is not None and stem.is_alive:
                return stem
            await self._drop(plugin)
            await self._make_room()
            stem = await _start()
            try:
                await stem.load(
                    Load(
                        plugin=plugin,
                        lock=str(self._lock_path),
                        beside=tuple(beside),
                        limits=self._limits,
                    )
                )
            except BaseException:
                stem.kill()
                await stem.close()
                raise
            self._stems[plugin] = stem
            return stem

    async def _make_room(self) -> None:
        idle = [name for name, stem in self._stems.items() if stem.is_idle]
        if len(self._stems) >= MOST_STEMS and idle:
            await self._drop(min(idle, key=lambda name: self._stems[name].used_at))

    async def _drop(self, plugin: str) -> None:
        stem = self._stems.pop(plugin, None)
        if stem is not None:
            await stem.close()

    async def close(self) -> None:
        """End all of them."""
        for plugin in list(self._stems):
            await self._drop(plugin)


async def _start() -> StemProcess:
    ours, theirs = socket.socketpair()
    arguments = [json.dumps([path for path in sys.path if path]), str(theirs.fileno())]
    try:
        process = subprocess.Popen(  # noqa: ASYNC220, S603 # it returns at once; nothing of it comes from outside
            [sys.executable, "-I", "-c", BOOT, *arguments],
            env={name: os.environ[name] for name in KEPT if name in os.environ},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        raise StemFailed(f"its process cannot be started ({error.strerror})") from error
    finally:
        theirs.close()
    control = ours.dup()
    control.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    return StemProcess(process=process, control=control, reader=reader, writer=writer)
