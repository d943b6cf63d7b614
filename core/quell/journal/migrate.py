"""Bringing a journal's schema up to date, once, whoever comes first.

Two marks stand in a journal. `schema_version` tells how far its migrations are.
`alembic_version` tells what a program must know at least to work there: the *floor*. Migrations
expand only, so programs of the release before go on, and may be started again, while workers of
both releases share one journal. What they could not read is written only after the floor was
raised, by `quell journal upgrade`; a journal that is made new has no such past and begins there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.errors import JournalUnavailable, JournalVersionError

__all__ = ["HEAD", "VERSION_TABLE", "Marks", "bring_up_to_date", "marks", "raise_floor"]

#: the newest migration that this program knows
HEAD = "0004"
#: a program that knows so much can work in a journal that was brought up to HEAD
COMPATIBLE = "0003"
#: from this floor on, nobody is there who could not read a body that is kept apart
APART_SINCE = "0004"
VERSION_TABLE = "schema_version"
FLOOR_TABLE = "alembic_version"
#: any number, the same for all: guards migrations against each other on PostgreSQL
ADVISORY_LOCK = 0x7175656C6C


class Marks(msgspec.Struct, frozen=True):
    """How far a journal's schema is, and what a program must know to work there."""

    version: str | None
    floor: str | None

    @property
    def is_current(self) -> bool:
        """Tell whether this program has nothing to bring up."""
        return self.version is not None and self.version >= HEAD

    @property
    def keeps_apart(self) -> bool:
        """Tell whether big bodies may be kept apart from their rows."""
        return self.floor is not None and self.floor >= APART_SINCE


def bring_up_to_date(engine: sa.Engine, where: str, *, create: bool) -> None:
    """Run the migrations that are missing. Raises when the journal is newer than this program."""
    with engine.connect() as conn:
        found = marks(conn)
    if not found.is_current or _is_beyond(found):
        found = _migrate(engine, where, create=create)
    # read by whoever writes a big body
    engine.update_execution_options(quell_keeps_apart=found.keeps_apart)


def marks(conn: sa.Connection) -> Marks:
    """Read how far a journal is."""
    inspector = sa.inspect(conn)
    floor = _mark(conn, inspector, FLOOR_TABLE)
    # before there were two marks, the floor was the version
    return Marks(_mark(conn, inspector, VERSION_TABLE) or floor, floor)


def raise_floor(conn: sa.Connection) -> None:
    """Let the journal be used as only programs that know HEAD can read it."""
    conn.execute(sa.text(f"UPDATE {FLOOR_TABLE} SET version_num = '{HEAD}'"))  # noqa: S608 # two names of ours


def _mark(conn: sa.Connection, inspector: sa.Inspector, table: str) -> str | None:
    if not inspector.has_table(table):
        return None
    column: sa.ColumnClause[Any] = sa.column("version_num")
    version: str | None = conn.scalar(sa.select(column).select_from(_table(table)))
    return version


def _table(name: str) -> sa.TableClause:
    return sa.table(name, sa.column("version_num"))


def _is_beyond(found: Marks) -> bool:
    return found.floor is not None and found.floor > HEAD


def _migrate(engine: sa.Engine, where: str, *, create: bool) -> Marks:
    with engine.connect().execution_options(quell_writes=True) as conn, conn.begin():
        if engine.dialect.name == "postgresql":
            conn.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
            # on a busy host the next step may be longer in coming than a session may stand still
            conn.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        found = marks(conn)
        if found.version is None and not create:
            raise JournalUnavailable(
                where=where, problem="there is no journal yet; start `quell up`"
            )
        if _is_beyond(found):
            raise JournalVersionError(where=where, found=str(found.floor), known=HEAD)
        if not found.is_current:
            _upgrade(conn, found)
        return marks(conn)


def _upgrade(conn: sa.Connection, found: Marks) -> None:
    # only here: a journal that is up to date never loads Alembic
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = conn
    _separate(conn, found)
    command.upgrade(config, HEAD)
    _set_floor(conn, HEAD if found.floor is None else max(found.floor, COMPATIBLE))


def _separate(conn: sa.Connection, found: Marks) -> None:
    """Give the version a mark of its own, in a journal from before there were two."""
    if found.version is None or sa.inspect(conn).has_table(VERSION_TABLE):
        return
    conn.execute(sa.schema.CreateTable(_declared(VERSION_TABLE)))
    conn.execute(sa.insert(_table(VERSION_TABLE)).values(version_num=found.version))


def _set_floor(conn: sa.Connection, floor: str) -> None:
    if not sa.inspect(conn).has_table(FLOOR_TABLE):
        conn.execute(sa.schema.CreateTable(_declared(FLOOR_TABLE)))
    conn.execute(sa.delete(_table(FLOOR_TABLE)))
    conn.execute(sa.insert(_table(FLOOR_TABLE)).values(version_num=floor))


def _declared(name: str) -> sa.Table:
    # as Alembic itself makes it
    column = sa.Column("version_num", sa.String(32), primary_key=True, nullable=False)
    return sa.Table(name, sa.MetaData(), column)
