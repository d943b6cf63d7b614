"""One call in a child process, seen from the worker: order, questions, result, and an end to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from quell.errors import QuellError, Unreachable
from quell.isolation.stems import ChildProcess, StemFailed, Stems
from quell.isolation.wire import (
    Ask,
    FromChild,
    Garbled,
    Go,
    Hello,
    Limits,
    Order,
    Ready,
    Refused,
    Reply,
    Result,
    Thrown,
    ToChild,
    frame,
    receive,
)

__all__ = ["Answerer", "Exchange", "Lost"]

#: questions that one call may have open, and may ask in all
MOST_OPEN, MOST_QUESTIONS = 64, 20_000

#: answers a child's questions. Raises QuellError, which the child then sees
Answerer = Callable[[Ask], Awaitable[Any]]


class Lost(Exception):
    """A call gave no result. Only where it had not begun it is certain that nothing was sent."""

    def __init__(
        self, reason: str, *, has_begun: bool, remedy: str = "", is_passing: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.has_begun = has_begun
        self.remedy = remedy
        #: another try may fare better
        self.is_passing = is_passing


class Exchange:
    """Runs orders in child processes, so many at a time."""

    def __init__(self, stems: Stems, limits: Limits, processes: int) -> None:
        self._stems = stems
        self._limits = limits
        self._slots = asyncio.Semaphore(processes)

    async def run(self, order: Order, beside: Sequence[str], answer: Answerer) -> msgspec.Raw:
        """Carry an order out within its seconds; gives the result as it came. Raises Lost.

        When it returns or raises, the child process is gone.
        """
        until = asyncio.get_running_loop().time() + order.seconds
        try:
            async with asyncio.timeout_at(until):
                await self._slots.acquire()
        except TimeoutError:
            reason = "no child process was free in time"
            raise Lost(reason, has_begun=False, is_passing=True) from None
        try:
            return await self._run(order, beside, answer, until)
        finally:
            self._slots.release()

    async def _run(
        self, order: Order, beside: Sequence[str], answer: Answerer, until: float
    ) -> msgspec.Raw:
        try:
            async with asyncio.timeout_at(until):
                child = await self._stems.child(order.plugin, beside)
        except StemFailed as error:
            remedy = f"See `quell plugins show {order.plugin}`."
            raise Lost(str(error), has_begun=False, remedy=remedy) from error
        except TimeoutError:
            reason = "its child process was not ready in time"
            raise Lost(reason, has_begun=False, is_passing=True) from None
        talk = _Talk(child, answer)
        try:
            async with asyncio.timeout_at(until):
                return await talk.hold(order)
        except TimeoutError:
            reason = f"no answer within {order.seconds:.0f} s; its process was ended"
        except Garbled as error:
            reason = f"its process {error}"
        except (OSError, asyncio.IncompleteReadError):
            await child.end()
            reason = f"its process {self._told(child.status)}"
        finally:
            await child.end()
        raise Lost(reason, has_begun=talk.has_begun, is_passing=True)

    def _told(self, status: int | None) -> str:
        """Say how a child that gave no answer came to its end."""
        if status is None:
            return "came to an unknown end"
        if not os.WIFSIGNALED(status):
            return f"ended by itself (exit status {os.waitstatus_to_exitcode(status)})"
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return f"used more than {self._limits.cpu_seconds} s of processor time"
        return f"died ({signal.Signals(number).name})"


class _Talk:
    """What is said with one child process."""

    def __init__(self, child: ChildProcess, answer: Answerer) -> None:
        self._child = child
        self._answer = answer
        self._open: set[asyncio.Task[None]] = set()
        self._asked = 0
        self.has_begun = False

    async def hold(self, order: Order) -> msgspec.Raw:
        """Give the order and go on until there is a result. Raises Lost, Garbled, OSError."""
        try:
            hello = await self._receive()
            if not isinstance(hello, Hello):
                raise Garbled("answered out of turn")
            self._child.pid = hello.pid
            await self._say(order)
            while True:
                message = await self._receive()
                if isinstance(message, Result):
                    return message.body
                await self._heed(message)
        finally:
            for question in self._open:
                question.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    async def _receive(self) -> Any:
        # a child that never stops talking must not keep the event loop to itself
        await asyncio.sleep(0)
        return await receive(self._child.reader, FromChild)

    async def _say(self, message: ToChild) -> None:
        self._child.writer.write(frame(message))
        await self._child.writer.drain()

    async def _heed(self, message: Any) -> None:
        if isinstance(message, Refused):
            raise Lost(message.reason, has_begun=self.has_begun, remedy=message.remedy)
        if isinstance(message, Ready) and not self.has_begun:
            self.has_begun = True
            await self._say(Go())
        elif isinstance(message, Ask):
            self._take(message)
        else:
            raise Garbled("answered out of turn")

    def _take(self, question: Ask) -> None:
        self._asked += 1
        if len(self._open) >= MOST_OPEN or self._asked > MOST_QUESTIONS:
            raise Garbled("asked for more than it can be given")
        work = asyncio.create_task(self._reply(question))
        self._open.add(work)
        work.add_done_callback(self._open.discard)

    async def _reply(self, question: Ask) -> None:
        try:
            data = frame(Reply(number=question.number, body=await self._answer(question)))
        except QuellError as error:
            data = _thrown(question, error)
        except Exception as error:  # noqa: BLE001 # a connector's bug is the child's bad answer, no more
            problem = f"the worker's part broke ({type(error).__name__})"
            data = _thrown(question, Unreachable(endpoint=question.name, problem=problem))
        with contextlib.suppress(OSError):  # a child that is gone needs no answer
            self._child.writer.write(data)
            await self._child.writer.drain()


def _thrown(question: Ask, error: QuellError) -> bytes:
    kind = type(error)
    fields = {name: _plain(value) for name, value in error.fields.items()}
    thrown = Thrown(module=kind.__module__, name=kind.__qualname__, fields=fields)
    return frame(Reply(number=question.number, error=thrown))


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else str(value)
