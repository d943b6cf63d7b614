"""A fleet of two real workers on PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fleet_stage import Fleet
from tests.servers import fresh_database, redis_server


@pytest.fixture
def own_redis() -> Iterator[str]:
    """Give the URL of a Redis server that this test alone has, and may flush."""
    with redis_server() as url:
        yield url


@pytest.fixture
def fleet(tmp_path: Path, postgres: str, own_redis: str) -> Iterator[Fleet]:
    """Give a tenant and a journal for a fleet; the test starts the workers."""
    with fresh_database(postgres) as journal:
        made = Fleet(tmp_path, journal, own_redis)
        try:
            yield made
        finally:
            made.close()
