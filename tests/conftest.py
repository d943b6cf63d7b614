"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest
from tests.servers import fresh_database, postgres_server, redis_server

from quell.journal import Journal

# how busy the machine is says nothing about quell
hypothesis.settings.register_profile(
    "quell", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("quell")

OpenJournal = Callable[[], Journal]


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the one loop that quell uses."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Give the URL of a real PostgreSQL server, one for each test process."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Give the URL of a real Redis server, one for each test process."""
    with redis_server() as url:
        yield url


@pytest.fixture(params=["sqlite-file", "sqlite-memory", "postgresql"])
def open_journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenJournal]:
    """Open the same journal as often as asked: another process would see the same rows.

    In memory there is one journal, as there is nobody to share it with.
    """
    with ExitStack() as stack:
        if request.param == "postgresql":
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres")))
        elif request.param == "sqlite-file":
            url = f"sqlite:///{tmp_path / 'quell.sqlite3'}"
        else:
            url = "sqlite://"
        opened: list[Journal] = []

        def open_one() -> Journal:
            if request.param == "sqlite-memory" and opened:
                return opened[0]
            journal = Journal.open(url)
            stack.callback(journal.close)
            opened.append(journal)
            return journal

        yield open_one


@pytest.fixture
def journal(open_journal: OpenJournal) -> Journal:
    """Give an empty journal, on each engine in turn."""
    return open_journal()
