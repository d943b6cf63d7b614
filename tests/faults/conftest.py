"""An empty tenant that can be made to fail, for each test of faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.fault_ground import Ground

from quell_microsoft.simulator.server import SimulatorOptions, start


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """Give an empty tenant, and a configuration that is right."""
    knobs: Mapping[str, Any] = {"throttle_scale": 0}
    with start(SimulatorOptions(config=knobs, time_scale=20.0)) as simulator:
        yield Ground(simulator, tmp_path)
