"""The stem process: it loads one plugin, then forks a fresh child process for every call.

A fork costs a few milliseconds where a new interpreter would cost hundreds, and nothing that one
call leaves behind is seen by the next. The stem has no secrets and runs nothing but the plugin's
import. It does not outlive its worker, and no process that a call began outlives the stem.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import threading
import time
from pathlib import Path

from quell.isolation.child import serve
from quell.isolation.limits import adopt_orphans, hold, list_orphans, silence
from quell.isolation.loaded import LoadedPlugins
from quell.isolation.wire import (
    LENGTH,
    Ended,
    FromStem,
    Limits,
    Load,
    Loaded,
    Spawn,
    ToChild,
    ToStem,
    decode,
    decoder,
    frame,
)
from quell.plugins import Lock

__all__ = ["main"]

#: seconds that killed processes may take to be gone
PATIENCE = 2.0
#: what a child that could not even begin exits with
BROKEN = 70


class Inbox:
    """What the worker sends, with the sockets that come along."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._bytes = bytearray()
        self._sockets: list[int] = []

    def next(self) -> ToStem:
        """Wait for a message. Raises EOFError when the worker is gone."""
        while (whole := self._whole()) is None:
            data, sockets, _, _ = socket.recv_fds(self._control, 65_536, 16)
            if not data:
                raise EOFError
            self._bytes += data
            self._sockets += sockets
        message: ToStem = decode(whole, ToStem)
        return message

    def _whole(self) -> bytes | None:
        if len(self._bytes) < LENGTH.size:
            return None
        end = LENGTH.size + LENGTH.unpack(self._bytes[: LENGTH.size])[0]
        if len(self._bytes) < end:
            return None
        found = bytes(self._bytes[LENGTH.size : end])
        del self._bytes[:end]
        return found

    def take_socket(self) -> socket.socket:
        """Give the socket that came with a message."""
        return socket.socket(fileno=self._sockets.pop(0))


class Stem:
    """One stem process at work."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._inbox = Inbox(control)
        self._plugins: LoadedPlugins | None = None
        self._limits = Limits()
        self._children: dict[int, int] = {}

    def work(self) -> None:
        """Do as told until the worker is gone; then end every process that is left."""
        try:
            while True:
                self._heed(self._inbox.next())
        except (EOFError, OSError):
            for number in list(self._children):
                self._end(number)

    def _heed(self, message: ToStem) -> None:
        if isinstance(message, Load):
            self._say(Loaded(problem=self._load(message)))
        elif isinstance(message, Spawn):
            self._spawn(message.number)
        else:
            self._say(Ended(number=message.number, status=self._end(message.number)))

    def _say(self, message: FromStem) -> None:
        self._control.sendall(frame(message))

    def _load(self, order: Load) -> str:
        self._limits = order.limits
        self._plugins = LoadedPlugins(Lock.read(Path(order.lock)))
        problem = self._plugins.load(order.plugin)
        for name in order.beside:
            self._plugins.load(name)
        for thread in threading.enumerate():
            # a plugin is loaded on a thread of its own; it is to be gone before the first fork
            if thread is not threading.current_thread():
                thread.join(timeout=1.0)
        self._plugins.warm()
        decoder(ToChild)
        # what is loaded is shared with every child: collecting garbage would copy it
        gc.collect()
        gc.freeze()
        return problem

    def _spawn(self, number: int) -> None:
        line = self._inbox.take_socket()
        maker = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._be_child(line, maker)
        self._children[number] = pid
        line.close()

    def _be_child(self, line: socket.socket, maker: int) -> None:
        """Never returns: whatever happens ends this process and no other."""
        status = BROKEN
        try:
            self._control.close()
            hold(self._limits, maker)
            if self._plugins is not None:
                serve(line, self._plugins)
                status = 0
        finally:
            os._exit(status)

    def _end(self, number: int) -> int | None:
        """Kill a child and everything that it began; gives how it ended."""
        pid = self._children.pop(number, None)
        if pid is None:
            return None
        for kill in (os.kill, os.killpg):  # its group is there once it has made its session
            with contextlib.suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        self._end_orphans()
        return status

    def _end_orphans(self) -> None:
        """Kill what slipped out of its group; its own children come to us in turn."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            orphans = list_orphans(set(self._children.values()))
            if not orphans:
                return
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in orphans:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def main(descriptor: int) -> None:
    """Work for the worker at the other end of a socket."""
    silence()
    adopt_orphans()
    Stem(socket.socket(fileno=descriptor)).work()
