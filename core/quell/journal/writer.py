"""One thread that writes: it groups waiting writes into one transaction, each in its savepoint.

A write is a value that can be run again: it reads what it depends on inside the transaction
and changes rows by guarded updates. So a group whose commit failed is simply run once more,
and a write that fails, fails alone.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy import exc

from quell.errors import JournalUnavailable, QuellError
from quell.journal import tables

__all__ = ["Question", "Transaction", "Write", "Writer"]

T = TypeVar("T")
logger = structlog.get_logger(__name__)

#: most writes in one transaction; beyond some hundred the gain is gone
GROUP_LIMIT = 256
#: how often a group is run again after the database went away or chose a victim
TRIES = 4


@dataclass(frozen=True, slots=True)
class Transaction:
    """What statements run in. Never leaves the journal package."""

    conn: sa.Connection
    #: the database's time when the transaction began
    now: datetime

    def execute(self, statement: sa.Executable, rows: Any = None) -> sa.CursorResult[Any]:
        """Run one statement."""
        return self.conn.execute(statement, rows)

    def changed(self, statement: sa.Executable) -> bool:
        """Run a guarded update and tell whether it hit exactly one row."""
        return self.execute(statement).rowcount == 1

    def lock(self, statement: sa.Select[*tuple[Any, ...]]) -> Sequence[sa.Row[Any]]:
        """Select rows and keep others from changing them until the end of the transaction."""
        # SQLite has one writer at a time anyway and ignores the clause
        return self.execute(statement.with_for_update()).all()


#: something to read; run in a transaction of its own
Question = Callable[[Transaction], T]


@dataclass(frozen=True, slots=True)
class Write(Generic[T]):
    """A change to the journal that can be run again. `locks` orders writes that lock rows."""

    apply: Callable[[Transaction], T]
    locks: tuple[str, ...] = ()
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def then(self, following: Callable[[Transaction, T], Any]) -> Write[T]:
        """Add a change to the same savepoint: both happen, or neither."""

        def apply(tx: Transaction) -> T:
            result = self.apply(tx)
            following(tx, result)
            return result

        return Write(apply, self.locks)


@dataclass(slots=True)
class Waiting:
    """A write in the queue, and whom to tell."""

    write: Write[Any]
    future: Future[Any]
    result: Any = None
    error: BaseException | None = None


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
        self._start()
        self._queue.put(Waiting(write, future))
        return future

    def close(self) -> None:
        """Write what is queued, then stop."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _start(self) -> None:
        with self._starting:
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
        for item in group:
            if item.error is not None:
                item.future.set_exception(item.error)
            else:
                item.future.set_result(item.result)

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
        with self._begin() as tx:
            for item in group:
                self._apply(tx, item)
            tx.execute(sa.insert(tables.commits).values(id=commit_id, at=tx.now))

    def _apply(self, tx: Transaction, item: Waiting) -> None:
        item.error = None
        try:
            with tx.conn.begin_nested():
                item.result = item.write.apply(tx)
        except exc.OperationalError:
            # the engine may have rolled the whole transaction back: nothing of the group counts
            raise
        except Exception as error:  # noqa: BLE001 # it fails alone, in its savepoint
            item.error = self._translated(error)

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, QuellError) or not isinstance(error, exc.DBAPIError):
            return error
        if isinstance(error, exc.IntegrityError):
            return error
        return JournalUnavailable(where=self._where, problem=_problem(error))


def _problem(error: exc.DBAPIError) -> str:
    # the driver's text only: SQLAlchemy's own would print statement and parameters
    return " ".join(str(error.orig).split())[:300]


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
