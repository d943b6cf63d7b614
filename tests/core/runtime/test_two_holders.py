"""Two workers that both believe to hold every duty: everything is done, and nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.core.runtime.stage import Stage, staged, until
from tests.engine_world import TENANT
from tests.servers import fresh_database

from quell.domain.ids import TenantId
from quell.domain.run import RunState
from quell.journal import leases, runs
from quell.journal.holding import Held
from quell.journal.writer import Question
from quell.runtime import duty


@pytest.fixture(autouse=True)
def everybody_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let leases of duties keep nobody away."""

    @contextlib.asynccontextmanager
    async def holding(*_: Any) -> AsyncGenerator[Held | None]:
        yield Held(fence=1)

    def is_free(tenant_id: TenantId, name: str) -> Question[bool]:
        return lambda tx: True

    monkeypatch.setattr(duty, "holding", holding)
    monkeypatch.setattr(leases, "is_free", is_free)


def states(stage: Stage) -> list[RunState]:
    return [row.state for row in stage.runtime.journal.ask_now(runs.listed(TENANT))]


def test_two_holders_of_every_duty_change_nothing(tmp_path: Path, postgres: str) -> None:
    # given
    with (
        fresh_database(postgres) as journal,
        staged(tmp_path / "one", journal) as one,
        staged(tmp_path / "two", journal) as two,
    ):
        one.hands.may_end.set()
        two.hands.may_end.set()

        async def work() -> None:
            working = [await one.up(), asyncio.create_task(two.runtime.up(two.stop))]

            # when: changes that each finds, and matches, and runs that each is told of
            for _ in range(6):
                one.revise()
                one.runtime.tenant().hasten("match")
                two.runtime.tenant().hasten("match")
            await until(lambda: len(states(one)) == 6 and set(states(one)) == {RunState.DONE})
            for stage in (one, two):
                stage.stop.set()
            await asyncio.gather(*working)

        one.runtime.run(work())

        # then: six runs of two steps
        assert one.hands.begun + two.hands.begun == 12
