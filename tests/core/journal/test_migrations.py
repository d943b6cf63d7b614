"""Migrations: they end exactly where `tables.py` says, both ways, on both engines."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from tests.servers import fresh_database

import quell.journal
from quell.journal import Journal, database, migrate, tables
from quell.journal.migrate import HEAD

#: how far a journal is, and what a program must know to work there
MARKS = {"alembic_version", "schema_version"}


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Tell what belongs to the schema from what says how far it is."""
    return kind != "table" or name not in MARKS


def checks(engine: sa.Engine) -> dict[str, set[str]]:
    """List each table's CHECK constraints by name."""
    inspector = sa.inspect(engine)
    return {
        table: {str(check["name"]) for check in inspector.get_check_constraints(table)}
        for table in inspector.get_table_names()
        if table not in MARKS
    }


def indexes(engine: sa.Engine) -> set[tuple[str, str, bool, str]]:
    """List indexes with their columns and conditions; the comparison of metadata skips the latter."""
    inspector = sa.inspect(engine)
    return {
        (
            table,
            ",".join(str(name) for name in index["column_names"]),
            bool(index["unique"]),
            str({name: str(to) for name, to in (index.get("dialect_options") or {}).items()}),
        )
        for table in inspector.get_table_names()
        for index in inspector.get_indexes(table)
        # PostgreSQL lists the indexes behind unique constraints too
        if not index.get("duplicates_constraint")
    }


def test_migrations_end_where_the_tables_say(url: str, tmp_path: Path) -> None:
    # given
    Journal.open(url).close()
    engine = sa.create_engine(url)

    # when
    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"include_name": is_ours})
        differences = compare_metadata(context, tables.metadata)

    # then
    assert differences == []
    engine.dispose()


def test_migrations_make_the_same_checks_and_indexes_as_the_tables(
    url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # given
    Journal.open(url).close()
    migrated = sa.create_engine(url)
    if url.startswith("sqlite"):
        declared = sa.create_engine(f"sqlite:///{tmp_path / 'declared.sqlite3'}")
        tables.metadata.create_all(declared)
        expected = checks(declared), indexes(declared)
        declared.dispose()
    else:
        with fresh_database(request.getfixturevalue("postgres")) as other:
            declared = sa.create_engine(other)
            tables.metadata.create_all(declared)
            expected = checks(declared), indexes(declared)
            declared.dispose()

    # when
    found = checks(migrated), indexes(migrated)

    # then
    assert found == expected
    assert sum(len(names) for names in found[0].values()) >= 9
    migrated.dispose()


def test_migrations_can_be_taken_back(url: str) -> None:
    # given
    Journal.open(url).close()
    engine = sa.create_engine(url)
    config = Config()
    folder = Path(quell.journal.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))

    # when
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "base")

    # then
    assert set(sa.inspect(engine).get_table_names()) == MARKS
    engine.dispose()


def test_the_program_knows_the_newest_migration() -> None:
    folder = Path(quell.journal.__file__).parent / "migrations" / "versions"
    newest = max(path.name for path in folder.glob("m*.py"))
    assert newest.startswith(f"m{HEAD}_")


def test_a_migration_that_a_busy_host_holds_up_is_not_broken_off(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: sessions end soon that stand still in a transaction, and a migration stands still
    monkeypatch.setattr(database, "OPTIONS", "-c idle_in_transaction_session_timeout=200")
    separate = migrate._separate  # pyright: ignore[reportPrivateUsage] # where a migration can stand still

    def late(conn: sa.Connection, found: migrate.Marks) -> None:
        time.sleep(0.6)
        separate(conn, found)

    monkeypatch.setattr(migrate, "_separate", late)

    # when
    with fresh_database(postgres) as url:
        Journal.open(url).close()
        engine = sa.create_engine(url)
        made = sa.inspect(engine).has_table("runs")
        engine.dispose()

    # then
    assert made
