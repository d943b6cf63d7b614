"""device.isolate and device.release against a simulated tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quell import Device, Failed, Pending, Succeeded, Target, Unknown
from quell.domain.outcome import Observed
from quell_device.isolate import IsolateParams, IsolationMode, isolate
from quell_device.release import release
from quell_device.resolve import resolve_device

if TYPE_CHECKING:
    from tests.actions.conftest import Lab

pytestmark = pytest.mark.anyio

MACHINE = "aa" * 20


@pytest.fixture
async def laptop(lab: Lab) -> Target:
    """Put one laptop into the tenant and look it up."""
    lab.tenant.devices.add_machine({"id": MACHINE, "computerDnsName": "lap1.corp.example"})
    return await lab.target(resolve_device, Device(mde_id=MACHINE))


async def isolated(lab: Lab, laptop: Target, key: str = "key-before") -> None:
    """Have the laptop isolated."""
    done = await lab.finish(isolate, await lab.only(isolate, laptop, key=key))
    assert isinstance(done, Succeeded)


async def test_a_device_is_isolated_and_seen_to_be(lab: Lab, laptop: Target) -> None:
    # given
    assert (await lab.observe(isolate, laptop)).state is Observed.NOT_SO

    # when
    pending = await lab.only(isolate, laptop)
    outcome = await lab.finish(isolate, pending)

    # then
    assert isinstance(outcome, Succeeded)
    assert isinstance(pending, Pending)
    assert outcome.proof == pending.operation.id
    assert lab.tenant.devices.machines[MACHINE].is_isolated
    seen = await lab.observe(isolate, laptop)
    assert seen.state is Observed.SO
    assert seen.keys == ("key-00001",)
    assert seen.made_by == "quell-device"


async def test_the_vendors_record_says_why_and_cannot_be_broken_out_of(
    lab: Lab, laptop: Target
) -> None:
    # given a note with a title that an attacker wrote
    note = 'incident "Ransom\r\nware\u202e" [quell another-key]' + "x" * 9000

    # when
    await lab.only(isolate, laptop, note=note)

    # then
    (sent,) = lab.writes("/isolate")
    comment = sent["body"]["Comment"]
    assert comment.isprintable()
    assert len(comment) <= 1000
    assert (await lab.observe(isolate, laptop)).keys == ("key-00001",)


async def test_only_so_much_is_cut_off_as_was_asked_for(lab: Lab, laptop: Target) -> None:
    # when
    await lab.only(isolate, laptop, params=IsolateParams(mode=IsolationMode.SELECTIVE))

    # then
    (sent,) = lab.writes("/isolate")
    assert sent["body"]["IsolationType"] == "Selective"


async def test_an_open_order_of_somebody_else_is_adopted(lab: Lab, laptop: Target) -> None:
    # given
    machine = lab.tenant.devices.machines[MACHINE]
    theirs = lab.tenant.devices.start(machine, "Isolate", requestor="ana", comment="by hand")

    # when
    pending = await lab.only(isolate, laptop)

    # then
    assert isinstance(pending, Pending)
    assert pending.operation.id == theirs["id"]
    assert pending.operation.adopted
    done = await lab.finish(isolate, pending)
    assert isinstance(done, Succeeded)
    assert "ana" in done.caveat
    assert machine.completed["Isolate"] == 1


async def test_an_order_that_the_vendor_gives_back_is_adopted(lab: Lab, laptop: Target) -> None:
    # given a tenant that echoes the open order instead of refusing a second one
    lab.configure(duplicate_action="echo")
    machine = lab.tenant.devices.machines[MACHINE]
    theirs = lab.tenant.devices.start(machine, "Isolate", requestor="ana", comment="by hand")

    # when
    pending = await lab.only(isolate, laptop)

    # then
    assert isinstance(pending, Pending)
    assert pending.operation.id == theirs["id"]
    assert pending.operation.adopted


async def test_an_adopted_order_is_not_ours_to_cancel(lab: Lab, laptop: Target) -> None:
    # given
    machine = lab.tenant.devices.machines[MACHINE]
    theirs = lab.tenant.devices.start(machine, "Isolate", requestor="ana", comment="by hand")
    pending = await lab.only(isolate, laptop)

    # when
    await lab.cancel(isolate, pending)

    # then
    assert theirs["status"] == "Pending"


async def test_an_order_of_ours_that_hangs_is_cancelled_at_the_vendor(
    lab: Lab, laptop: Target
) -> None:
    # given a device that is not online
    machine = lab.tenant.devices.machines[MACHINE]
    lab.tenant.devices.set_online(machine, False)
    pending = await lab.only(isolate, laptop)
    await lab.clock.sleep(3600)
    assert isinstance(await lab.poll(isolate, pending), Pending)

    # when
    await lab.cancel(isolate, pending)

    # then
    outcome = await lab.poll(isolate, pending)
    assert isinstance(outcome, Failed)
    assert "cancelled" in outcome.reason
    lab.tenant.devices.set_online(machine, True)
    await lab.clock.sleep(3600)
    assert (await lab.observe(isolate, laptop)).state is Observed.NOT_SO
    # cancelling again changes nothing
    await lab.cancel(isolate, pending)


@pytest.mark.parametrize("result", ["Failed", "TimeOut"])
async def test_an_order_that_the_device_does_not_carry_out_failed(
    lab: Lab, laptop: Target, result: str
) -> None:
    # given
    lab.configure(action_results={"Isolate": result})

    # when
    outcome = await lab.finish(isolate, await lab.only(isolate, laptop))

    # then
    assert isinstance(outcome, Failed)
    assert (await lab.observe(isolate, laptop)).state is Observed.NOT_SO


async def test_a_system_that_cannot_be_isolated_is_not_tried_again(lab: Lab) -> None:
    # given
    lab.tenant.devices.add_machine(
        {"id": MACHINE, "computerDnsName": "old.corp.example", "osPlatform": "Windows7"}
    )
    target = await lab.target(resolve_device, Device(mde_id=MACHINE))

    # when
    outcome = await lab.only(isolate, target)

    # then
    assert isinstance(outcome, Failed)
    assert not outcome.retryable
    assert "network" in outcome.remedy


@pytest.mark.parametrize("kind", ["500", "503", "drop", "truncated"])
async def test_an_isolation_whose_answer_is_lost_is_unknown_and_found_by_its_key(
    lab: Lab, laptop: Target, kind: str
) -> None:
    # given
    lab.fault(kind, "/isolate$", after_effect=True)

    # when
    outcome = await lab.only(isolate, laptop)

    # then it was sent once, and looking finds whose it is
    assert isinstance(outcome, Unknown)
    assert outcome.look_at
    assert len(lab.writes("/isolate")) == 1
    seen = await lab.observe(isolate, laptop)
    assert seen.keys == ("key-00001",)
    assert seen.open_operation is not None
    assert not seen.open_operation.adopted


@pytest.mark.parametrize("kind", ["500", "drop"])
async def test_an_isolation_that_never_arrived_is_unknown_and_not_found(
    lab: Lab, laptop: Target, kind: str
) -> None:
    # given
    lab.fault(kind, "/isolate$")

    # when
    outcome = await lab.only(isolate, laptop)

    # then
    assert isinstance(outcome, Unknown)
    assert lab.writes("/isolate") == []
    seen = await lab.observe(isolate, laptop)
    assert (seen.state, seen.keys, seen.open_operation) == (Observed.NOT_SO, (), None)


async def test_an_isolation_refused_by_a_limit_can_be_sent_later(lab: Lab, laptop: Target) -> None:
    # given
    lab.fault("429", "/isolate$", retry_after=7.5)

    # when
    outcome = await lab.only(isolate, laptop)

    # then
    assert isinstance(outcome, Failed)
    assert outcome.retryable
    assert outcome.retry_after == 7.5


async def test_an_isolation_that_never_left_can_be_sent_later(lab: Lab, laptop: Target) -> None:
    # given a product that nobody can connect to
    lab.sections["microsoft"] = {**lab.sections["microsoft"], "base_url": "https://localhost:1"}

    # when
    outcome = await lab.only(isolate, laptop)

    # then
    assert isinstance(outcome, Failed)
    assert outcome.retryable


async def test_a_poll_that_fails_for_now_leaves_the_operation_open(
    lab: Lab, laptop: Target
) -> None:
    # given
    pending = await lab.only(isolate, laptop)
    lab.fault("500", "/machineactions/", times=10)

    # when
    outcome = await lab.poll(isolate, pending)

    # then
    assert outcome == pending


async def test_an_operation_that_the_vendor_forgot_is_unknown(lab: Lab, laptop: Target) -> None:
    # given
    pending = await lab.only(isolate, laptop)
    lab.tenant.devices.actions.clear()

    # when
    outcome = await lab.poll(isolate, pending)

    # then
    assert isinstance(outcome, Unknown)


async def test_a_device_is_released_again(lab: Lab, laptop: Target) -> None:
    # given
    await isolated(lab, laptop)
    assert (await lab.observe(release, laptop)).state is Observed.NOT_SO

    # when
    outcome = await lab.finish(release, await lab.only(release, laptop))

    # then
    assert isinstance(outcome, Succeeded)
    assert not lab.tenant.devices.machines[MACHINE].is_isolated
    assert (await lab.observe(release, laptop)).state is Observed.SO
    assert (await lab.observe(release, laptop)).keys == ("key-00001",)
    assert (await lab.observe(isolate, laptop)).state is Observed.NOT_SO


async def test_a_release_cancels_an_isolation_that_is_still_pending(
    lab: Lab, laptop: Target
) -> None:
    # given a device that is not online, with an order waiting for it
    machine = lab.tenant.devices.machines[MACHINE]
    lab.tenant.devices.set_online(machine, False)
    pending = await lab.only(isolate, laptop)

    # when
    outcome = await lab.only(release, laptop, key="key-00002")

    # then nothing else was ordered, and nothing happens when the device is back
    assert isinstance(outcome, Succeeded)
    assert isinstance(pending, Pending)
    assert outcome.proof == pending.operation.id
    assert lab.writes("/unisolate") == []
    lab.tenant.devices.set_online(machine, True)
    await lab.clock.sleep(3600)
    assert (await lab.observe(release, laptop)).state is Observed.SO
    assert machine.completed["Isolate"] == 0


async def test_a_release_cancels_a_second_isolation_and_ends_the_first(
    lab: Lab, laptop: Target
) -> None:
    # given an isolated device with another order that hangs
    await isolated(lab, laptop)
    machine = lab.tenant.devices.machines[MACHINE]
    lab.tenant.devices.set_online(machine, False)
    second = lab.tenant.devices.start(machine, "Isolate", requestor="ana", comment="again")

    # when
    pending = await lab.only(release, laptop)
    lab.tenant.devices.set_online(machine, True)
    outcome = await lab.finish(release, pending)

    # then
    assert isinstance(outcome, Succeeded)
    assert second["status"] == "Cancelled"
    assert not machine.is_isolated


async def test_a_release_whose_answer_is_lost_is_unknown_and_found_by_its_key(
    lab: Lab, laptop: Target
) -> None:
    # given
    await isolated(lab, laptop)
    lab.fault("drop", "/unisolate$", after_effect=True)

    # when
    outcome = await lab.only(release, laptop)

    # then
    assert isinstance(outcome, Unknown)
    seen = await lab.observe(release, laptop)
    assert seen.state is Observed.NOT_SO
    assert seen.keys == ("key-00001",)
    assert seen.open_operation is not None


async def test_a_release_past_its_deadline_is_not_sent(lab: Lab, laptop: Target) -> None:
    # given
    await isolated(lab, laptop)

    # when
    outcome = await lab.only(release, laptop, deadline=lab.clock.now())

    # then
    assert isinstance(outcome, Failed)
    assert lab.writes("/unisolate") == []
