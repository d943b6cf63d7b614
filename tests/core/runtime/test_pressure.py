"""Back-pressure: a queue that is too long takes containment only, and the rest when it is short again."""

from __future__ import annotations

from pathlib import Path

from tests.core.runtime.stage import Stage, staged, until
from tests.engine_world import TENANT

from quell.domain.run import RunState
from quell.domain.urgency import READING, URGENT
from quell.engine.pressure import HELD_BACK
from quell.journal import runs, starts

CONTAIN = """\
quell: 1
playbook: contain
trigger: {incident: created}
steps:
  - {id: off, do: device.isolate, to: incident.devices}
"""
TWO_AT_MOST = {"limits": {"queued_at_most": 2}}


def held(stage: Stage) -> list[tuple[str, str]]:
    found = stage.runtime.journal.ask_now(starts.held(TENANT))
    return [(one.playbook_id, one.reason) for one in found]


def done(stage: Stage) -> int:
    listed = stage.runtime.journal.ask_now(runs.listed(TENANT))
    return sum(row.state is RunState.DONE for row in listed)


def test_above_the_bound_readings_are_held_back_and_go_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    # given: no worker yet, and as many runs wait as may
    with staged(tmp_path, tenant=TWO_AT_MOST) as stage:

        async def fill() -> list[int]:
            first = [await stage.match(), await stage.match()]
            return [len(one) for one in first]

        assert stage.runtime.run(fill()) == [1, 1]

        # when
        begun = stage.runtime.run(stage.match())

        # then: it is seen, and not begun
        assert begun == []
        assert held(stage) == [("hold", HELD_BACK)]

        # when: a worker takes what waits
        async def work() -> None:
            working = await stage.up()
            stage.hands.may_end.set()
            for row in stage.runtime.journal.ask_now(runs.listed(TENANT)):
                stage.runtime.wake(row.ref, row.priority)
            await until(lambda: done(stage) == 2)
            stage.runtime.tenant().hasten("held_back")
            await until(lambda: done(stage) == 3)
            stage.stop.set()
            await working

        stage.runtime.run(work())

        # then
        assert held(stage) == []


def test_containment_is_never_held_back_and_is_the_more_urgent(tmp_path: Path) -> None:
    # given: the queue is full
    with staged(tmp_path, tenant=TWO_AT_MOST) as stage:

        async def fill() -> None:
            await stage.match()
            await stage.match()

        stage.runtime.run(fill())
        stage.world.activate(CONTAIN)

        # when
        begun = stage.runtime.run(stage.match())

        # then
        rows = stage.runtime.journal.ask_now(runs.listed(TENANT))
        assert [row.playbook_id for row in begun] == ["contain"]
        assert {row.playbook_id: row.priority for row in rows} == {
            "contain": URGENT,
            "hold": READING,
        }
        assert held(stage) == [("hold", HELD_BACK)]
