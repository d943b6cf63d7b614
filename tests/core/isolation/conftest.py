"""What tests of the isolation may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.core.isolation.stage import Plugin, Stage, install, make_stage

from quell.isolation.isolation import ChildProcesses
from quell.settings import IsolationSettings


@pytest.fixture(scope="package")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    """Install and enable the stranger's plugin."""
    yield from install(tmp_path_factory.mktemp("isolation"))


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    """Run tests of a module on one event loop: the child processes of a worker live on it."""
    return "asyncio"


@pytest.fixture(scope="module")
def isolation_settings() -> IsolationSettings:
    """Give the limits; tests of other limits have their own."""
    return IsolationSettings(cpu_seconds=2, memory_mb=256)


@pytest.fixture(scope="module")
async def processes(
    plugin: Plugin, isolation_settings: IsolationSettings
) -> AsyncIterator[ChildProcesses]:
    """Give a worker's child processes, and leave none behind."""
    processes = ChildProcesses(isolation_settings, plugin.lock_path)
    yield processes
    await processes.close()


@pytest.fixture
def stage(plugin: Plugin, processes: ChildProcesses) -> Stage:
    """Give a tenant of the worker."""
    return make_stage(plugin, processes)
