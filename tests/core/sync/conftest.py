"""A small world for sync: a journal in memory, a product that detects, one that mirrors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.sync_model import ManualClock
from tests.sync_world import World

from quell.journal import Journal


@pytest.fixture
def world() -> Iterator[World]:
    """Give an empty tenant."""
    clock = ManualClock()
    journal = Journal.open("sqlite://", clock=clock)
    yield World(journal, clock)
    journal.close()
