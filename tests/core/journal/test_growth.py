"""A journal that has grown: what a question costs the database does not follow the finished runs.

Work is counted, not timed: instructions of SQLite's machine, pages that PostgreSQL looks at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from bench.journal import ACTS, Timed, fill, timed
from sqlalchemy import event
from tests.servers import fresh_database

from quell.journal import Journal

FEW, MANY = 1_100, 12_000
#: instructions between two counts
GRAIN = 10


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Timed, Timed]]:
    """Give two journals, with few and with many finished runs, on each engine in turn."""
    folder: Path = tmp_path_factory.mktemp("growth")
    with ExitStack() as stack:
        made: list[Timed] = []
        for count in (FEW, MANY):
            if request.param == "sqlite":
                url = f"sqlite:///{folder / f'{count}.sqlite3'}"
            else:
                url = stack.enter_context(fresh_database(request.getfixturevalue("postgres")))
            journal = Journal.open(url)
            stack.callback(journal.close)
            fill(url, request.param, count)
            made.append(timed(journal, count))
        yield made[0], made[1]


@contextmanager
def counting() -> Generator[Callable[[], int]]:
    """Count what the database does for every statement inside."""
    counted = 0
    watched: list[Any] = []

    def step() -> int:
        nonlocal counted
        counted += GRAIN
        return 0

    def before(conn: sa.Connection, cursor: Any, statement: str, given: Any, *_: Any) -> None:
        nonlocal counted
        if conn.dialect.name == "sqlite":
            cursor.connection.set_progress_handler(step, GRAIN)
            watched.append(cursor.connection)
        elif statement.lstrip().startswith("SELECT"):
            counted += _pages(cursor.connection, statement, given)

    event.listen(sa.Engine, "before_cursor_execute", before)
    try:
        yield lambda: counted
    finally:
        event.remove(sa.Engine, "before_cursor_execute", before)
        for connection in watched:
            connection.set_progress_handler(None, 0)


def _pages(connection: Any, statement: str, given: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", given)
        found = cursor.fetchone()[0]
    plan: dict[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def work(one: Timed, act: Callable[[Timed, int], None], number: int) -> int:
    act(one, number)  # connections are open and statements known afterwards
    with counting() as counted:
        act(one, number + 1)
        return counted()


@pytest.mark.parametrize("name", list(ACTS))
def test_work_does_not_follow_the_number_of_finished_runs(
    pair: tuple[Timed, Timed], name: str
) -> None:
    # given
    few, many = pair
    number = 2 * list(ACTS).index(name)

    # when
    little, much = work(few, ACTS[name], number), work(many, ACTS[name], number)

    # then: many times the runs cost a level of an index at most
    assert little > 0
    assert much <= 2 * little + 50
