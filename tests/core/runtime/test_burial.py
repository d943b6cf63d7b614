"""A worker that was killed: on a journal of one host, the next start takes over what it held at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import timedelta

import pytest
from tests.engine_world import DEVICE, TENANT, JournalClock, World

from quell.domain.ids import WorkerId
from quell.domain.run import RunState
from quell.errors import FenceLost
from quell.journal import Journal, due, leases, runs, workers
from quell.journal.due import Due
from quell.runtime.burial import bury_the_dead

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)
HERE = socket.gethostname()
NEXT = WorkerId("next")
PLAYBOOK = """\
quell: 1
playbook: note
trigger: {incident: created}
steps:
  - {id: note, do: incident.comment, with: {text: "hello"}}
"""


def pid_of_the_dead() -> int:
    """Give the number of a process that was killed."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    process.kill()
    process.wait()
    return process.pid


async def register(journal: Journal, worker: WorkerId, pid: int, host: str = HERE) -> None:
    await journal.commit(workers.register(worker, host=host, pid=pid, version="1"))


async def test_what_a_dead_worker_held_can_be_had_at_once_and_its_fence_is_lost(
    journal: Journal,
) -> None:
    # given: a worker that died with a run and a duty in its hands
    world = World(journal, JournalClock(journal))
    dead = WorkerId("dead")
    ref = await world.start(PLAYBOOK, DEVICE)
    await register(journal, dead, pid_of_the_dead())
    claim = await journal.commit(runs.claim(ref, dead, HOUR))
    fence = await journal.commit(leases.claim(TENANT, "duty/sweep", dead, HOUR))
    assert claim is not None
    assert fence is not None
    before = await journal.commit(runs.claim(ref, NEXT, HOUR))

    # when
    buried = await bury_the_dead(journal, NEXT, HERE)

    # then
    assert before is None
    assert buried == [dead]
    assert await journal.ask(workers.listed()) == []
    found = await journal.commit(due.find(TENANT, Due.STALE, limit=10))
    assert [one.ref for one in found] == [ref]
    taken = await journal.commit(runs.claim(ref, NEXT, HOUR))
    assert taken is not None
    assert taken.run.fence > claim.run.fence
    assert await journal.commit(leases.claim(TENANT, "duty/sweep", NEXT, HOUR)) is not None
    # should it live after all, it writes nothing more
    with pytest.raises(FenceLost):
        await journal.commit(runs.rest(ref, claim.run.fence, None))
    assert not await journal.commit(leases.renew(TENANT, "duty/sweep", dead, fence, HOUR))
    world.close()


async def test_a_takeover_after_a_death_counts_towards_parking(journal: Journal) -> None:
    # given
    world = World(journal, JournalClock(journal))
    ref = await world.start(PLAYBOOK, DEVICE)

    # when: each start of the process dies in the middle of the run
    for number in range(5):
        worker = WorkerId(f"dead{number}")
        await register(journal, worker, pid_of_the_dead())
        await journal.commit(runs.claim(ref, worker, HOUR))
        await bury_the_dead(journal, NEXT, HERE)

    # then
    assert world.row(ref).state is RunState.PARKED
    world.close()


async def test_the_living_and_those_of_other_hosts_are_left_alone(journal: Journal) -> None:
    # given
    pid = pid_of_the_dead()
    await register(journal, WorkerId("parent"), os.getppid())
    await register(journal, WorkerId("elsewhere"), pid, host="another host")

    # when
    buried = await bury_the_dead(journal, NEXT, HERE)

    # then
    assert buried == []
    assert len(await journal.ask(workers.listed())) == 2


async def test_a_worker_whose_number_this_process_has_now_is_dead(journal: Journal) -> None:
    # given: the first process of a container has the same number at each start
    await register(journal, WorkerId("before"), os.getpid())
    await register(journal, NEXT, os.getpid())

    # when
    buried = await bury_the_dead(journal, NEXT, HERE)

    # then
    assert buried == [WorkerId("before")]
    assert [row.id for row in await journal.ask(workers.listed())] == [NEXT]
