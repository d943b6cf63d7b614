"""One thread that writes: it groups waiting writes into one transaction.

A write is a value that can be run again: it reads what it depends on inside the transaction
and changes rows by guarded updates. So a group whose commit failed is simply run once more, and
so is one in which a write failed: each in its savepoint then, so that it fails alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy import exc

from quell.errors import JournalUnavailable, QuellError
from quell.journal import tables
from quell.journal.transaction import Ahead, Question, Transaction, Write
from quell.meters import COMMIT_SECONDS, COMMIT_WRITES

__all__ = ["Question", "Transaction", "Write", "Writer"]

T = TypeVar("T")
logger = structlog.get_logger(__name__)

NOTE = sa.insert(tables.commits)

#: most writes in one transaction; beyond some hundred the gain is gone
GROUP_LIMIT = 256
#: how often a group is run again after the database went away or chose a victim
TRIES = 4


class _Spoilt(Exception):  # no error: a way out of a transaction
    """One write of a group failed; the group is taken back."""


@dataclass(slots=True)
class Waiting:
    """A write in the queue, and whom to tell: a thread by its future, or a task of a loop."""

    write: Write[Any]
    future: Future[Any] | asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop | None = None
    result: Any = None
    error: BaseException | None = None

    def tell(self) -> None:
        """Hand over what came of it; whoever stopped waiting is not told."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def _tell_all(group: Sequence[Waiting]) -> None:
    for item in group:
        item.tell()


class Writer:
    """The writer thread of one process. `submit` never blocks on the database."""

    def __init__(
        self,
        begin: Callable[[], contextlib.AbstractContextManager[Transaction]],
        was_committed: Callable[[str], bool],
        where: str,
    ) -> None:
        self._begin = begin
        self._was_committed = was_committed
        self._where = where
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def submit(self, write: Write[T]) -> Future[T]:
        """Queue a write; the future ends after its commit."""
        future: Future[T] = Future()
        # a queued write happens, whoever stops waiting for it: a cancelled future would end the thread
        future.set_running_or_notify_cancel()
        self._put(Waiting(write, future))
        return future

    async def commit(self, write: Write[T]) -> T:
        """Queue a write and wait, on an event loop, until it is committed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(Waiting(write, future, loop))
        return await future

    def close(self) -> None:
        """Write what is queued, then stop."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _put(self, item: Waiting) -> None:
        if self._thread is None:
            with self._starting:
                self._start()
        self._queue.put(item)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="quell-journal", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, is_last = self._drain(first)
            self._finish(group)
            if is_last:
                return

    def _drain(self, first: Waiting) -> tuple[list[Waiting], bool]:
        group = [first]
        while len(group) < GROUP_LIMIT:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return group, True
            group.append(item)
        # one order of locks for everybody: no two groups can wait for each other in a ring
        group.sort(key=lambda item: item.write.locks)
        return group, False

    def _finish(self, group: list[Waiting]) -> None:
        try:
            self._commit(group)
        except Exception as error:  # noqa: BLE001 # whatever it is, whoever waits has to hear it
            self._fail_alone(group, error)
        self._tell(group)

    def _tell(self, group: list[Waiting]) -> None:
        """Tell everybody: threads at once, the tasks of a loop in one call to it."""
        by_loop: dict[asyncio.AbstractEventLoop | None, list[Waiting]] = {}
        for item in group:
            by_loop.setdefault(item.loop, []).append(item)
        for loop, items in by_loop.items():
            if loop is None:
                _tell_all(items)
                continue
            # a loop that was closed meanwhile has nobody left who waits
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_tell_all, items)

    def _fail_alone(self, group: list[Waiting], error: Exception) -> None:
        """A group failed as a whole: run its writes one by one, so that only the culprit fails."""
        if len(group) == 1:
            group[0].error = self._translated(error)
            return
        for item in group:
            try:
                self._commit([item])
            except Exception as own:  # noqa: BLE001 # as above
                item.error = self._translated(own)

    def _commit(self, group: list[Waiting]) -> None:
        began = time.perf_counter()
        self._commit_with_patience(group)
        COMMIT_SECONDS.note(time.perf_counter() - began)
        COMMIT_WRITES.note(len(group))

    def _commit_with_patience(self, group: list[Waiting]) -> None:
        commit_id = uuid.uuid4().hex
        for attempt in range(TRIES):
            try:
                self._commit_once(group, commit_id)
            except exc.DBAPIError as error:
                if not _is_passing(error) or attempt == TRIES - 1:
                    raise
                time.sleep(0.05 * 4**attempt)
                # the connection may have died after the commit and before its answer
                if _was_cut(error) and self._was_committed(commit_id):
                    return
            else:
                return

    def _commit_once(self, group: list[Waiting], commit_id: str) -> None:
        try:
            with self._begin() as tx:
                self._apply_together(tx, group)
                tx.execute(NOTE, {"id": commit_id, "at": tx.now})
        except _Spoilt as spoilt:
            if len(group) == 1:
                group[0].error = self._translated(_cause(spoilt))
                return
        else:
            return
        with self._begin() as tx:
            for item in group:
                self._apply_apart(tx, item)
            tx.execute(NOTE, {"id": commit_id, "at": tx.now})

    def _apply_together(self, tx: Transaction, group: list[Waiting]) -> None:
        """Run all writes of a group as one; whatever goes wrong in one of them spoils it."""
        try:
            _read_ahead(tx, group)
            for item in group:
                item.error = None
                item.result = item.write.apply(tx)
            tx.flush()
        except Exception as error:
            if _is_of_all(error):
                raise
            raise _Spoilt from error

    def _apply_apart(self, tx: Transaction, item: Waiting) -> None:
        """Run one write in its savepoint, so that it fails alone."""
        item.error = None
        try:
            with tx.conn.begin_nested():
                item.result = item.write.apply(tx)
                tx.flush()
        except Exception as error:
            if _is_of_all(error):
                raise
            item.error = self._translated(error)
        finally:
            tx.forget()

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, QuellError) or not isinstance(error, exc.DBAPIError):
            return error
        if isinstance(error, exc.IntegrityError):
            return error
        return JournalUnavailable(where=self._where, problem=_problem(error))


def _read_ahead(tx: Transaction, group: Sequence[Waiting]) -> None:
    """Read what the writes of a group begin with, in one question of each kind."""
    keys: dict[Ahead, list[tuple[str, ...]]] = {}
    for item in group:
        if item.write.ahead is not None:
            keys.setdefault(item.write.ahead, []).append(item.write.locks)
    for ahead, locks in keys.items():
        if len(locks) > 1:
            ahead(tx, locks)


def _cause(spoilt: _Spoilt) -> Exception:
    cause = spoilt.__cause__
    assert isinstance(cause, Exception)  # noqa: S101 # it is raised from one
    return cause


def _problem(error: exc.DBAPIError) -> str:
    # the driver's text only: SQLAlchemy's own would print statement and parameters
    return " ".join(str(error.orig).split())[:300]


def _is_of_all(error: Exception) -> bool:
    """Tell whether the engine may have rolled the whole transaction back: nothing of it counts."""
    if not isinstance(error, exc.DBAPIError):
        return False
    return isinstance(error, exc.OperationalError) or error.connection_invalidated


def _was_cut(error: exc.DBAPIError) -> bool:
    return error.connection_invalidated


def _is_passing(error: exc.DBAPIError) -> bool:
    """Tell whether running the group again may help: a lost connection, a deadlock, a lock."""
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        # serialization failure, deadlock, shutdown and start-up of the server
        return state in {"40001", "40P01", "57P01", "57P02", "57P03", "08000", "08003", "08006"}
    return getattr(error.orig, "sqlite_errorname", "") in {"SQLITE_BUSY", "SQLITE_LOCKED"}
