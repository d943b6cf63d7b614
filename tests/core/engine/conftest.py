"""The world that tests of the engine happen in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.engine_world import TestClock, World

from quell.journal import Journal


@pytest.fixture
def world() -> Iterator[World]:
    """Give an armed tenant with a journal in memory; the contract suite covers the engines."""
    clock = TestClock()
    journal = Journal.open("sqlite://", clock=clock)
    made = World(journal, clock)
    made.arm()
    yield made
    made.close()
    journal.close()
