"""What statements run in, and the values that are handed to it: questions and writes.

The writes of a group share a transaction, and what they have in common is done once for all: rows
that they begin with are read ahead, and rows that nobody looks at at once are written together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeGuard, TypeVar
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.sql import visitors

__all__ = ["Ahead", "Question", "Transaction", "Write"]

T = TypeVar("T")

#: the tables that a statement reads or writes; most statements are built once and asked about often
_tables: WeakKeyDictionary[sa.Executable, frozenset[sa.Table]] = WeakKeyDictionary()


#: rows of a kind fit one execution: the same statement, and values for the same columns
Kind = tuple[sa.Executable, tuple[str, ...]]


@dataclass(slots=True)
class Rows:
    """Rows of one statement that wait to be written."""

    tables: frozenset[sa.Table]
    values: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    #: what is wrong where not every row hits one
    problems: list[Exception] = field(default_factory=list[Exception])


@dataclass(slots=True)
class Transaction:
    """What statements run in. Never leaves the journal package."""

    conn: sa.Connection
    #: the database's time when the transaction began
    now: datetime
    #: by table and key: rows that were read under lock and have not changed since
    _kept: dict[sa.Table, dict[Any, Any]] = field(default_factory=dict[sa.Table, dict[Any, Any]])
    #: what is written later, in the order in which the statements were first used
    _later: dict[Kind, Rows] = field(default_factory=dict[Kind, Rows])

    def execute(self, statement: sa.Executable, rows: Any = None) -> sa.CursorResult[Any]:
        """Run one statement, after all that waits for the tables which it reads or writes."""
        if self._later:
            self._flush_before(statement)
        if self._kept and isinstance(statement, sa.UpdateBase):
            self._kept.pop(_table_of(statement), None)
        return self.conn.execute(statement, rows)

    def beside(self, statement: sa.Executable, rows: Any = None) -> sa.CursorResult[Any]:
        """Run one statement about rows that nothing which waits, and nothing kept, is about."""
        return self.conn.execute(statement, rows)

    def changed(self, statement: sa.Executable, values: Any = None) -> bool:
        """Run a guarded update and tell whether it hit exactly one row."""
        return self.execute(statement, values).rowcount == 1

    def lock(self, statement: sa.Select[*tuple[Any, ...]]) -> Sequence[sa.Row[Any]]:
        """Select rows and keep others from changing them until the end of the transaction."""
        # SQLite has one writer at a time anyway and ignores the clause
        return self.execute(statement.with_for_update()).all()

    def later(
        self, statement: sa.Executable, row: dict[str, Any], problem: Exception | None = None
    ) -> None:
        """Write a row together with others of its kind, before anybody looks and before the commit.

        For a guarded update, `problem` is raised then if it does not hit exactly one row.
        """
        kind = (statement, tuple(row))
        waiting = self._later.get(kind)
        if waiting is None:
            waiting = self._later[kind] = Rows(tables_of(statement))
        waiting.values.append(row)
        if problem is not None:
            waiting.problems.append(problem)

    def flush(self) -> None:
        """Write everything that waits."""
        while self._later:
            self._write(next(iter(self._later)))

    def forget(self) -> None:
        """Drop what waits and what was read: a write that failed was taken back."""
        self._later.clear()
        self._kept.clear()

    def keep(self, table: sa.Table, key: Any, row: Any) -> None:
        """Remember a row that was read under lock."""
        self._kept.setdefault(table, {})[key] = row

    def kept(self, table: sa.Table, key: Any) -> Any:
        """Give a row that was read under lock and has not changed since, if there is one."""
        return self._kept.get(table, {}).get(key)

    def drop(self, table: sa.Table, key: Any) -> None:
        """Forget one row: it is about to change."""
        self._kept.get(table, {}).pop(key, None)

    def _flush_before(self, statement: sa.Executable) -> None:
        """Write what waits for the tables of a statement, and what that depends on, in order."""
        touched = set(tables_of(statement))
        if not touched:
            self.flush()  # nobody knows what it looks at
            return
        before = 0
        chosen: list[Kind] = []
        while len(touched) != before:
            before = len(touched)
            chosen = [kind for kind, rows in self._later.items() if touched & rows.tables]
            touched.update(*(self._later[kind].tables for kind in chosen))
        for kind in chosen:
            self._write(kind)

    def _write(self, kind: Kind) -> None:
        rows = self._later.pop(kind)
        many = rows.values if len(rows.values) > 1 else rows.values[0]
        hit = self.conn.execute(kind[0], many)
        if rows.problems and hit.rowcount != len(rows.values):
            raise rows.problems[0]


#: something to read; run in a transaction of its own
Question = Callable[[Transaction], T]
#: reads, once for many writes, the rows that they begin with; it is given their `locks`, in order
Ahead = Callable[[Transaction, Sequence[tuple[str, ...]]], None]


@dataclass(frozen=True, slots=True)
class Write(Generic[T]):
    """A change to the journal that can be run again. `locks` orders writes that lock rows."""

    apply: Callable[[Transaction], T]
    locks: tuple[str, ...] = ()
    #: how what `locks` names is read under lock, for many writes at once
    ahead: Ahead | None = None

    def then(self, following: Callable[[Transaction, T], Any]) -> Write[T]:
        """Add a change to the same savepoint: both happen, or neither."""

        def apply(tx: Transaction) -> T:
            result = self.apply(tx)
            following(tx, result)
            return result

        return Write(apply, self.locks, self.ahead)


def tables_of(statement: sa.Executable) -> frozenset[sa.Table]:
    """List the tables that a statement reads or writes."""
    found = _tables.get(statement)
    if found is None:
        parts = visitors.iterate(statement)  # type: ignore[arg-type] # every statement is one of its elements
        found = frozenset(filter(_is_table, parts))
        _tables[statement] = found
    return found


def _table_of(statement: sa.UpdateBase) -> sa.Table:
    table: object = statement.table
    assert _is_table(table)  # noqa: S101 # we write to tables alone
    return table


def _is_table(part: object) -> TypeGuard[sa.Table]:
    return isinstance(part, sa.Table)
