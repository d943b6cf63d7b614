"""A child process's end of its line to the worker."""

from __future__ import annotations

import asyncio
import importlib
import socket
from itertools import count
from typing import Any, cast

from quell.errors import QuellError, Unreachable
from quell.isolation.wire import (
    About,
    Ask,
    FromChild,
    Reply,
    Thrown,
    ToChild,
    decoder,
    frame,
    read_frame,
)

__all__ = ["Line"]


class Line:
    """Sends messages, and gives each question its answer. For one thread only."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    def say(self, message: FromChild) -> None:
        """Send a message; the worker always reads."""
        self._socket.sendall(frame(message))

    def hear(self) -> ToChild:
        """Wait for the worker's next message. Raises EOFError."""
        # both ends of this direction are ours: what comes is what the worker meant
        return cast("ToChild", decoder(ToChild).decode(read_frame(self._socket)))

    def listen(self) -> None:
        """Have answers taken in by the running event loop from now on."""
        asyncio.get_running_loop().add_reader(self._socket, self._take)

    def _take(self) -> None:
        self._settle(self.hear())

    async def ask(self, about: About, name: str, identity: str = "", body: Any = None) -> Any:
        """Ask the worker for something. Raises the error that came of it there."""
        question = Ask(
            number=next(self._numbers), about=about, name=name, identity=identity, body=body
        )
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[question.number] = waiting
        self.say(question)
        return await waiting

    def ask_now(self, about: About, name: str) -> Any:
        """Ask where nothing can be awaited; other answers that come meanwhile are kept."""
        question = Ask(number=next(self._numbers), about=about, name=name)
        self.say(question)
        while True:
            message = self.hear()
            if isinstance(message, Reply) and message.number == question.number:
                if message.error is not None:
                    raise _rebuilt(message.error)
                return message.body
            self._settle(message)

    def _settle(self, message: ToChild) -> None:
        waiting = self._waiting.pop(message.number, None) if isinstance(message, Reply) else None
        if not isinstance(message, Reply) or waiting is None or waiting.done():
            return
        if message.error is not None:
            waiting.set_exception(_rebuilt(message.error))
        else:
            waiting.set_result(message.body)


def _rebuilt(thrown: Thrown) -> QuellError:
    """Make the error that was raised in the worker, which alone says which class it is."""
    kind: Any = getattr(importlib.import_module(thrown.module), thrown.name, None)
    if isinstance(kind, type) and issubclass(kind, QuellError):
        return kind(**thrown.fields)
    return Unreachable(endpoint="the worker", problem="answered with an unknown error")
