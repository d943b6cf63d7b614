"""One process with SQLite, killed with runs in its hands: the next start goes on with them at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.fleet_stage import TENANT, Fleet, check_every_effect_is_there_once, open_runs, until

from quell.domain.ids import WorkerId
from quell.domain.run import RunState
from quell.journal import leases, runs, workers
from quell.runtime import Runtime

#: no test waits this long: whatever goes on before it is over was not waited for
LONG = timedelta(hours=1)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Fleet]:
    """Give a tenant and a journal for one process."""
    made = Fleet(tmp_path, f"sqlite:///{tmp_path / 'quell.sqlite3'}", None)
    try:
        yield made
    finally:
        made.close()


async def lengthen_leases(runtime: Runtime, dead: WorkerId) -> list[runs.RunRow]:
    """Let what a worker holds be its own for so long that nobody gets it by waiting."""
    held = [run for run in await open_runs(runtime) if run.state is RunState.RUNNING]
    await runtime.journal.commit(runs.renew(dead, [run.id for run in held], LONG))
    for lease in await runtime.journal.ask(leases.listed(TENANT)):
        renew = leases.renew(TENANT, lease.name, WorkerId(lease.owner), lease.fence, LONG)
        await runtime.journal.commit(renew)
    return held


def test_a_killed_process_goes_on_at_its_next_start_and_repeats_nothing(alone: Fleet) -> None:
    # given: killed while runs were under way
    with alone.opened() as (runtime, control):

        async def begin() -> WorkerId:
            await alone.release(runtime, control, "arrive", wait=False)

            async def is_busy() -> bool:
                running = [run for run in await open_runs(runtime) if run.state is RunState.RUNNING]
                return len(running) >= 2

            await until(is_busy, "runs are under way")
            (row,) = await runtime.journal.ask(workers.listed())
            return row.id

        alone.start_embedded("first")
        dead = runtime.run(begin())
        alone.kill_worker("first")
        held = runtime.run(lengthen_leases(runtime, dead))
        assert {run.owner for run in held} == {dead}

        # when
        alone.start_embedded("second")
        runtime.run(control.play("online"))
        runtime.run(alone.finish(runtime, control))
        code = alone.stop_worker("second")

        # then
        listed = runtime.journal.ask_now(runs.listed(TENANT, limit=1000))
        assert {run.id for run in held} <= {run.id for run in listed if run.state.is_final}
        runtime.run(check_every_effect_is_there_once(runtime, control, was_killed=True))
        assert code == 0
        assert runtime.journal.ask_now(workers.listed()) == []
