"""Opening the journal: engines, what differs between them, time, and reading.

SQLite serves one host: durable settings are `WAL` with `synchronous=FULL`. PostgreSQL serves a
fleet: `synchronous_commit=on`, which is its default and is asserted for each connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Generator
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.pool import StaticPool

from quell.domain.ports import Clock
from quell.errors import JournalUnavailable, SettingsError
from quell.journal import migrate, tables
from quell.journal.writer import Question, Transaction, Write, Writer

__all__ = ["Journal"]

T = TypeVar("T")

CLOCK = sa.select(sa.func.clock_timestamp())
IS_COMMITTED = sa.select(tables.commits.c.id).where(tables.commits.c.id == sa.bindparam("commit"))
#: why each is set stands beside it
PRAGMAS = {
    "journal_mode": "WAL",  # readers do not block the writer
    "synchronous": "FULL",  # a committed intent survives loss of power
    "busy_timeout": "10000",  # ms to wait for another process's write before giving up
    "foreign_keys": "ON",
    "temp_store": "MEMORY",
}

#: what each session asks of PostgreSQL. A process that stands still in the middle of a
#: transaction, or is cut off, must not keep rows locked for longer than its lease lasts
OPTIONS = "-c synchronous_commit=on -c idle_in_transaction_session_timeout=10000"


class Journal:
    """The journal of one process. Writes go through one thread; reads run beside it."""

    def __init__(self, engine: sa.Engine, clock: Clock | None = None) -> None:
        self._engine = engine
        self._clock = clock
        self.where = engine.url.render_as_string(hide_password=True)
        self.is_shared = engine.dialect.name == "postgresql"
        # one in-memory database is one connection: everybody takes turns
        self._turn = threading.RLock() if isinstance(engine.pool, StaticPool) else None
        self._writer = Writer(self._begin_write, self._was_committed, self.where)
        self._aside: sa.Engine | None = None

    @classmethod
    def open(cls, url: str, *, clock: Clock | None = None, create: bool = True) -> Journal:
        """Open a journal by URL and bring its schema up to date.

        `sqlite:///PATH` for one host, `postgresql://…` for a fleet, `sqlite://` in memory for
        tests. A path alone is taken as SQLite. Raises JournalUnavailable, JournalVersionError.
        """
        engine = _make_engine(url)
        journal = cls(engine, clock)
        try:
            migrate.bring_up_to_date(engine, journal.where, create=create)
        except exc.DBAPIError as error:
            engine.dispose()
            raise JournalUnavailable(where=journal.where, problem=str(error.orig)) from error
        return journal

    def close(self) -> None:
        """Finish queued writes and let go of the database."""
        self._writer.close()
        self._engine.dispose()
        if self._aside is not None:
            self._aside.dispose()

    def submit(self, write: Write[T]) -> Future[T]:
        """Queue a write without waiting for it."""
        return self._writer.submit(write)

    def commit_now(self, write: Write[T]) -> T:
        """Commit a write and wait for it in this thread."""
        return self._writer.submit(write).result()

    async def commit(self, write: Write[T]) -> T:
        """Commit a write; returns after the database has it."""
        return await self._writer.commit(write)

    def commit_aside(self, write: Write[T]) -> T:
        """Commit a write in this thread, past the queue and on a connection of its own.

        For what must come through however long the queue is; it is not run again by itself.
        """
        if self._aside is None:
            self._aside = _beside(self._engine)
        with self._translating(), self._begin_write(self._aside) as tx:
            return write.apply(tx)

    def ask_now(self, question: Question[T]) -> T:
        """Read, in this thread."""
        with self._translating(), self._taking_turns(), self._engine.connect() as conn:
            return question(Transaction(conn, self._now(conn)))

    async def ask(self, question: Question[T]) -> T:
        """Read, on another thread."""
        return await asyncio.to_thread(self.ask_now, question)

    def now(self) -> datetime:
        """Tell the database's time."""
        return self.ask_now(lambda tx: tx.now)

    @contextlib.contextmanager
    def _begin_write(self, engine: sa.Engine | None = None) -> Generator[Transaction]:
        with (
            self._taking_turns(),
            (engine or self._engine).connect().execution_options(quell_writes=True) as conn,
            conn.begin(),
        ):
            tx = Transaction(conn, self._now(conn))
            yield tx
            tx.flush()

    def _was_committed(self, commit_id: str) -> bool:
        asked = {"commit": commit_id}
        return self.ask_now(lambda tx: tx.execute(IS_COMMITTED, asked).first() is not None)

    def _now(self, conn: sa.Connection) -> datetime:
        if self._clock is not None:
            return self._clock.now()
        if self.is_shared:
            stamp: datetime = conn.execute(CLOCK).scalar_one()
            return stamp.astimezone(UTC)
        return datetime.now(UTC)  # SQLite runs in this process, on this host's clock

    def _taking_turns(self) -> contextlib.AbstractContextManager[Any]:
        return self._turn if self._turn is not None else contextlib.nullcontext()

    @contextlib.contextmanager
    def _translating(self) -> Generator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            problem = " ".join(str(error.orig).split())[:300]
            raise JournalUnavailable(where=self.where, problem=problem) from error


def _beside(engine: sa.Engine) -> sa.Engine:
    """Give an engine with one connection that nobody else waits for; SQLite's own will do."""
    if engine.dialect.name != "postgresql":
        return engine
    # a row that somebody keeps locked must not cost all the others their turn
    options = "-c synchronous_commit=on -c lock_timeout=4000"
    return sa.create_engine(
        engine.url,
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 10, "options": options},
    )


def _make_engine(url: str) -> sa.Engine:
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _make_sqlite(parsed)
    return sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=8,
        max_overflow=8,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 10, "options": OPTIONS},
    )


def _parse(url: str) -> sa.URL:
    text = url if "://" in url else f"sqlite:///{Path(url).expanduser()}"
    try:
        parsed = sa.make_url(text)
    except exc.ArgumentError as error:
        raise SettingsError(name="journal", problem="is not a database URL") from error
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise SettingsError(
            name="journal",
            problem=f"names the engine {parsed.get_backend_name()!r}",
            remedy="Use sqlite:///PATH for one host or postgresql://USER@HOST/NAME for a fleet.",
        )
    return parsed


def _make_sqlite(url: sa.URL) -> sa.Engine:
    in_memory = url.database in {None, "", ":memory:"}
    if not in_memory:
        _prepare_folder(str(url.database))
    options: dict[str, Any] = {"poolclass": StaticPool} if in_memory else {}
    engine = sa.create_engine(url, connect_args={"check_same_thread": False}, **options)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_folder(path: str) -> None:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # before SQLite does: the journal holds personal data and is its owner's alone
        Path(path).touch(mode=0o600)
    except OSError as error:
        raise JournalUnavailable(where=path, problem=error.strerror or "cannot be made") from error


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = (
        None  # transactions begin where we say, not where the driver guesses
    )
    cursor = connection.cursor()
    for name, value in PRAGMAS.items():
        cursor.execute(f"PRAGMA {name}={value}")
    cursor.close()


def _begin_sqlite(conn: sa.Connection) -> None:
    # a read that turns into a write fails at once, whatever the busy timeout: writers say so first
    writes = conn.get_execution_options().get("quell_writes", False)
    conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
