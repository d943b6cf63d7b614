"""The journal's writer: groups, savepoints, failures, and what survives them."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from quell.domain.ids import TenantId
from quell.errors import JournalUnavailable, JournalVersionError, StateError
from quell.journal import Journal, Transaction, Write
from quell.journal import commits as commits_journal
from quell.journal.tables import commits, switches

TENANT = TenantId("contoso")


def put(name: str, *, fail: bool = False) -> Write[str]:
    """Insert one row, and fail after it where told."""

    def apply(tx: Transaction) -> str:
        row = {"tenant_id": TENANT, "name": name, "value": {"n": name}, "by": "t", "reason": ""}
        tx.execute(sa.insert(switches).values(**row, at=tx.now))
        if fail:
            raise StateError(what=name, problem="was told to fail", remedy="none")
        return name

    return Write(apply, locks=(name,))


def names(journal: Journal) -> list[str]:
    statement = sa.select(switches.c.name).order_by(switches.c.name)
    return journal.ask_now(lambda tx: list(tx.execute(statement).scalars()))


def commit_count(journal: Journal) -> int:
    statement = sa.select(sa.func.count()).select_from(commits)
    return int(journal.ask_now(lambda tx: tx.execute(statement).scalar_one()))


@pytest.mark.anyio
async def test_waiting_writes_share_a_commit(journal: Journal) -> None:
    # given
    gate = threading.Event()
    first = journal.submit(Write(lambda tx: gate.wait(10)))

    # when
    rest = [journal.submit(put(f"n{number:03}")) for number in range(100)]
    gate.set()
    first.result(30)
    results = [future.result(30) for future in rest]

    # then
    assert results == [f"n{number:03}" for number in range(100)]
    assert len(names(journal)) == 100
    assert commit_count(journal) <= 2


@pytest.mark.anyio
async def test_a_write_that_fails_fails_alone(journal: Journal) -> None:
    # when
    results = await asyncio.gather(
        *(journal.commit(put(f"n{number}", fail=number == 3)) for number in range(6)),
        return_exceptions=True,
    )

    # then
    assert [type(result) for result in results] == [str, str, str, StateError, str, str]
    assert names(journal) == ["n0", "n1", "n2", "n4", "n5"]


@pytest.mark.anyio
async def test_a_broken_constraint_takes_back_the_whole_write_and_no_other(
    journal: Journal,
) -> None:
    # given
    await journal.commit(put("there"))

    # when
    both = put("new").then(lambda tx, _: put("there").apply(tx))
    results = await asyncio.gather(
        journal.commit(both), journal.commit(put("other")), return_exceptions=True
    )

    # then
    assert isinstance(results[0], IntegrityError)
    assert names(journal) == ["other", "there"]


@pytest.mark.anyio
async def test_a_writer_goes_on_when_nobody_waits_for_a_write_any_more(journal: Journal) -> None:
    # given
    gate = threading.Event()
    first = journal.submit(Write(lambda tx: gate.wait(10)))
    given_up = asyncio.create_task(journal.commit(put("given_up")))
    await asyncio.sleep(0.05)

    # when
    given_up.cancel()
    await asyncio.sleep(0.05)
    gate.set()
    first.result(30)

    # then
    assert await journal.commit(put("after")) == "after"


def test_what_was_confirmed_is_there_after_reopening(
    open_journal: Callable[[], Journal],
) -> None:
    # given
    open_journal().commit_now(put("kept"))

    # when
    again = open_journal()

    # then
    assert names(again) == ["kept"]


def test_text_that_a_database_cannot_hold_is_stored_with_marks_in_its_place(
    journal: Journal,
) -> None:
    # when
    journal.commit_now(put("nul \x00 and surrogate \ud800"))

    # then
    assert names(journal) == ["nul \ufffd and surrogate ?"]


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    # given
    url = f"sqlite:///{tmp_path / 'quell.sqlite3'}"
    Journal.open(url).close()
    with sqlite3.connect(tmp_path / "quell.sqlite3") as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
    conn.close()

    # when / then
    with pytest.raises(JournalVersionError, match="schema 9999"):
        Journal.open(url)


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    # given
    path = tmp_path / "quell.sqlite3"
    path.write_text("this is a letter, not a database; " * 40)

    # when / then
    with pytest.raises(JournalUnavailable, match="not a database"):
        Journal.open(f"sqlite:///{path}")
    assert path.read_text().startswith("this is a letter")


def test_a_journal_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    # when
    Journal.open(f"sqlite:///{tmp_path / 'state' / 'quell.sqlite3'}").close()

    # then
    assert (tmp_path / "state" / "quell.sqlite3").stat().st_mode & 0o077 == 0


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def test_old_commits_are_forgotten_and_late_ones_are_kept() -> None:
    # given
    clock = HandClock()
    journal = Journal.open("sqlite://", clock=clock)
    for number in range(3):
        journal.commit_now(put(f"old{number}"))
    clock.moment += timedelta(hours=2)
    journal.commit_now(put("late"))

    # when
    forgotten = journal.commit_now(commits_journal.prune())

    # then
    assert forgotten == 3
    assert commit_count(journal) == 2
    journal.close()


WRITE_MANY = """
import sys, sqlalchemy as sa
from quell.journal import Journal, Write
from quell.journal.tables import counters
from quell.journal.columns import EPOCH
journal = Journal.open(sys.argv[1])
def apply(tx):
    mine = sa.update(counters).where(counters.c.name == "n")
    tx.execute(mine.values(count=counters.c.count + 1))
for _ in range(200):
    journal.commit_now(Write(apply))
journal.close()
"""


def test_two_processes_on_one_sqlite_file_lose_nothing(tmp_path: Path) -> None:
    # given
    from quell.journal.columns import EPOCH
    from quell.journal.tables import counters

    url = f"sqlite:///{tmp_path / 'quell.sqlite3'}"
    journal = Journal.open(url)
    row = {"tenant_id": TENANT, "name": "n", "window_at": EPOCH, "count": 0}
    journal.commit_now(Write(lambda tx: tx.execute(sa.insert(counters).values(**row)) and None))

    # when
    processes = [subprocess.Popen([sys.executable, "-c", WRITE_MANY, url]) for _ in range(2)]
    codes = [process.wait(60) for process in processes]

    # then
    assert codes == [0, 0]
    total = journal.ask_now(lambda tx: tx.execute(sa.select(counters.c.count)).scalar_one())
    journal.close()
    assert total == 400


def test_a_full_disk_is_one_clear_error_and_loses_nothing_confirmed(tmp_path: Path) -> None:
    # given
    journal = Journal.open(f"sqlite:///{tmp_path / 'quell.sqlite3'}")
    journal.commit_now(put("before"))

    def fill(tx: Transaction) -> None:
        # the engine's own limit stands in for the disk: the error is the same SQLITE_FULL
        tx.conn.exec_driver_sql("PRAGMA max_page_count = 1")
        row = {
            "tenant_id": TENANT,
            "name": "big",
            "value": "x" * 10_000_000,
            "by": "t",
            "reason": "",
        }
        tx.execute(sa.insert(switches).values(**row, at=tx.now))

    # when
    with pytest.raises(JournalUnavailable, match="full") as caught:
        journal.commit_now(Write(fill))

    # then
    assert "Free disk space" in caught.value.remedy
    assert names(journal) == ["before"]
    journal.close()
