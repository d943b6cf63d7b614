"""Bringing a journal's schema up to date, once, whoever comes first."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from quell.errors import JournalUnavailable, JournalVersionError

__all__ = ["HEAD", "bring_up_to_date"]

#: the newest migration that this program knows
HEAD = "0003"
#: any number, the same for all: guards migrations against each other on PostgreSQL
ADVISORY_LOCK = 0x7175656C6C


def bring_up_to_date(engine: sa.Engine, where: str, *, create: bool) -> None:
    """Run the migrations that are missing. Raises when the journal is newer than this program."""
    if _found(engine) == HEAD:
        return
    with engine.connect().execution_options(quell_writes=True) as conn, conn.begin():
        if engine.dialect.name == "postgresql":
            conn.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
        found = _version(conn)
        if found == HEAD:
            return
        if found is None and not create:
            raise JournalUnavailable(
                where=where, problem="there is no journal yet; start `quell up`"
            )
        if found is not None and found > HEAD:
            raise JournalVersionError(where=where, found=found, known=HEAD)
        _upgrade(conn)


def _found(engine: sa.Engine) -> str | None:
    with engine.connect() as conn:
        return _version(conn)


def _version(conn: sa.Connection) -> str | None:
    if not sa.inspect(conn).has_table("alembic_version"):
        return None
    version: str | None = conn.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return version


def _upgrade(conn: sa.Connection) -> None:
    # only here: a journal that is up to date never loads Alembic
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = conn
    command.upgrade(config, HEAD)
