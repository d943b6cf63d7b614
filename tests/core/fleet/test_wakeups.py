"""Wake-ups: bounded, droppable, never in anybody's way; a lost one costs delay, a doubled one nothing."""

from __future__ import annotations

import random
import threading
import uuid

import pytest
from tests.engine_world import TENANT, JournalClock, World

from quell.domain.entity import Device
from quell.domain.run import RunState
from quell.domain.urgency import URGENT
from quell.engine import GuardPolicy, RunRef
from quell.fleet.wakeups import WakeUps
from quell.journal import Journal
from quell.runtime.dispatch import Dispatcher

PLAYBOOK = """\
quell: 1
playbook: contain
trigger: {incident: created}
steps:
  - {id: isolate, do: device.isolate, to: incident.devices}
  - {id: note, do: incident.comment, with: {text: "{{ names(isolate.done) }}"}}
"""
PATIENCE = 20.0


class Broker:
    """A broker that can hang, as one does whose network went away, and can be gone."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self.is_gone = False
        self.is_asked = threading.Event()
        self.answers = threading.Event()

    def send(self, tenant_id: str, run_id: str, priority: int) -> None:
        self.is_asked.set()
        assert self.answers.wait(PATIENCE)
        if self.is_gone:
            raise ConnectionError("redis://:password@127.0.0.1 is gone")
        self.got.append((tenant_id, run_id))


def test_a_broker_that_hangs_blocks_nobody_and_the_overflow_is_dropped() -> None:
    # given: the thread waits for the broker with one wake-up in hand
    broker = Broker()
    wake_ups = WakeUps(broker.send, limit=3)
    wake_ups.start()
    wake_ups.offer("lab", "in hand")
    assert broker.is_asked.wait(PATIENCE)

    # when: this thread would hang here if any offer could block
    taken = [wake_ups.offer("lab", str(number)) for number in range(10)]
    urgent = wake_ups.offer("lab", "contain", URGENT)

    # then: containment is not what is dropped, and goes first
    assert taken == [True] * 3 + [False] * 7
    assert urgent
    broker.answers.set()
    until_sent(broker, 4)
    assert [run_id for _, run_id in broker.got] == ["in hand", "contain", "0", "1"]
    wake_ups.stop()


def test_after_the_broker_is_back_what_still_waited_is_sent() -> None:
    # given
    broker = Broker()
    wake_ups = WakeUps(broker.send)
    wake_ups.start()
    for number in range(3):
        wake_ups.offer("lab", str(number))

    # when
    broker.answers.set()

    # then
    until_sent(broker, 3)
    assert broker.got == [("lab", "0"), ("lab", "1"), ("lab", "2")]
    wake_ups.stop()


def until_sent(broker: Broker, number: int) -> None:
    tick = threading.Event()
    for _ in range(int(PATIENCE * 100)):
        if len(broker.got) >= number:
            return
        tick.wait(0.01)
    raise AssertionError(f"only {len(broker.got)} of {number} were sent")


def test_what_a_broker_does_not_take_is_done_by_this_very_process() -> None:
    # given
    broker = Broker()
    broker.is_gone = True
    broker.answers.set()
    done_here: list[tuple[str, str]] = []
    is_done = threading.Event()

    def do_here(tenant_id: str, run_id: str, priority: int) -> None:
        done_here.append((tenant_id, run_id))
        is_done.set()

    wake_ups = WakeUps(broker.send, instead=do_here)
    wake_ups.start()

    # when
    wake_ups.offer("lab", "r1")

    # then
    assert is_done.wait(PATIENCE)
    wake_ups.stop()
    assert done_here == [("lab", "r1")]
    assert broker.got == []


def test_what_still_waits_when_it_stops_goes_to_the_broker_for_other_workers() -> None:
    # given
    broker = Broker()
    broker.answers.set()
    wake_ups = WakeUps(broker.send)
    for number in range(100):
        wake_ups.offer("lab", str(number))

    # when
    wake_ups.start()
    wake_ups.stop()

    # then
    assert len(broker.got) == 100


def test_stopping_does_not_wait_for_a_broker_that_hangs() -> None:
    # given: a full queue, and a broker that hangs
    broker = Broker()
    wake_ups = WakeUps(broker.send, limit=2)
    wake_ups.start()
    wake_ups.offer("lab", "in hand")
    assert broker.is_asked.wait(PATIENCE)
    while wake_ups.offer("lab", uuid.uuid4().hex):
        pass

    # when
    wake_ups.stop()
    broker.answers.set()

    # then
    until_sent(broker, 1)
    assert broker.got == [("lab", "in hand")]


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(5))
async def test_wake_ups_in_threes_and_shuffled_change_nothing(seed: int) -> None:
    # given: runs that isolate a device each
    journal = Journal.open("sqlite://")
    world = World(journal, JournalClock(journal))
    world.policy = GuardPolicy(auto=frozenset({"device.isolate"}))
    world.arm()
    world.activate(PLAYBOOK)
    refs: list[RunRef] = []
    for number in range(6):
        device = Device(mde_id=f"{number:040}", name=f"pc{number}")
        incident_id = world.add_incident(device, name=f"inc{number}")
        refs += [RunRef(TENANT, run_id) for run_id in await world.match(incident_id)]
    messages = refs * 3
    random.Random(seed).shuffle(messages)

    # when
    dispatcher = Dispatcher(world.engine.drive)
    dispatcher.start()
    for ref in messages:
        dispatcher.offer(ref)
    for ref in refs:
        await dispatcher.drive(ref)
    await dispatcher.quiet()
    await dispatcher.stop()

    # then
    assert [world.row(ref).state for ref in refs] == [RunState.DONE] * 6
    assert len(world.lab.isolated) == 6
    assert world.lab.repeated() == {}
    assert len(world.lab.comments) == 6
    world.close()
    journal.close()
