"""The client of machines against a simulated tenant: what it sends, and what it makes of answers."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from quell.errors import AnswerNotFound, PermissionMissing
from quell.testing import SteppedClock
from quell_defender.machines import MachineClient
from quell_microsoft import EndpointClient

if TYPE_CHECKING:
    from tests.plugins.conftest import SourceDesk

pytestmark = pytest.mark.anyio

MACHINE = "aa" * 20
SAMPLES = (
    Path(os.environ.get("QUELL_SAMPLES") or Path(__file__).parents[4] / "shared" / "samples")
    / "defender"
)
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="recorded samples are not here")


class Recorded(EndpointClient):
    """Answers with a recorded body."""

    def __init__(self, name: str) -> None:
        self._body = json.loads((SAMPLES / name).read_text(encoding="utf-8"))

    async def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        operation: str = "read",
        permission: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Give the body."""
        return self._body

    async def pages(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        operation: str = "read",
        permission: str = "",
    ) -> AsyncIterator[dict[str, Any]]:
        """Give the body as the only page."""
        yield self._body


def client(desk: SourceDesk, identity: str = "device") -> MachineClient:
    """Put a machine into the tenant and make a client."""
    desk.tenant.devices.add_machine({"id": MACHINE, "computerDnsName": "lap1.corp.example"})
    return MachineClient(desk.connector(EndpointClient, identity), desk.clock)


async def test_orders_come_newest_first_whatever_order_the_product_has(desk: SourceDesk) -> None:
    # given
    machines = client(desk)
    machine = desk.tenant.devices.machines[MACHINE]
    for number in range(3):
        desk.tenant.devices.start(
            machine, "RunAntiVirusScan", requestor=f"r{number}", comment="scan"
        )
        await desk.clock.sleep(10)

    # when
    orders = await machines.list_actions(MACHINE)

    # then
    assert [order.requestor for order in orders] == ["r2", "r1", "r0"]


async def test_orders_of_other_machines_are_left_out(desk: SourceDesk) -> None:
    # given
    machines = client(desk)
    other = desk.tenant.devices.add_machine({"id": "bb" * 20, "computerDnsName": "lap2"})
    desk.tenant.devices.start(other, "Isolate", requestor="r", comment="c")

    # then
    assert await machines.list_actions(MACHINE) == ()


async def test_an_order_that_is_not_there_is_said_to_be_missing(desk: SourceDesk) -> None:
    with pytest.raises(AnswerNotFound):
        await client(desk).get_action("0b6f0c4e-0000-4000-8000-000000000001")


async def test_an_identity_without_the_permission_is_told_which_one_it_needs(
    desk: SourceDesk,
) -> None:
    # given the reader, which may look but not touch
    machines = client(desk, "reader")

    # when
    with pytest.raises(PermissionMissing) as caught:
        await machines.isolate(MACHINE, "why", selective=False)

    # then
    assert "Machine.Isolate" in caught.value.remedy
    assert not caught.value.may_have_happened


async def test_cancelling_an_order_that_is_final_or_gone_changes_nothing(desk: SourceDesk) -> None:
    # given
    machines = client(desk)
    order = await machines.isolate(MACHINE, "why", selective=False)
    await desk.clock.sleep(10)
    await desk.clock.sleep(3600)

    # when
    await machines.cancel(order.id, "too late")
    await machines.cancel("0b6f0c4e-0000-4000-8000-000000000001", "never was")

    # then
    assert (await machines.get_action(order.id)).cancelled_by == ""


@pytest.mark.parametrize("name", ["x' or 1 eq 1", "lap1.corp.example' or '", "LAP", "l%61p1"])
async def test_a_hostile_name_matches_no_machine(desk: SourceDesk, name: str) -> None:
    # given
    machines = client(desk)

    # then
    assert await machines.list_by_dns_name(name) == ()
    assert await machines.list_by_host_name(name) == ()
    assert await machines.list_by_entra_id(name) == ()


@needs_samples
@pytest.mark.parametrize(
    ("name", "kind", "is_open"),
    [
        ("mde_action_isolate.json", "Isolate", True),
        ("mde_action_unisolate.json", "Unisolate", True),
        ("mde_machineaction_get.json", "Isolate", False),
    ],
)
async def test_a_recorded_order_is_read(name: str, kind: str, is_open: bool) -> None:
    # when
    order = await MachineClient(Recorded(name), SteppedClock()).get_action("x")

    # then
    assert (order.kind, order.is_open) == (kind, is_open)
    assert order.id
    assert order.requestor == "user@example.com"
    assert order.created.year == 2021


@needs_samples
async def test_recorded_orders_with_all_fields_are_read() -> None:
    # when
    machines = MachineClient(Recorded("mde_machineactions_fullfields.json"), SteppedClock())
    orders = await machines.list_actions("1234")

    # then
    assert [order.kind for order in orders] == [
        "RestrictCodeExecution",
        "RunAntiVirusScan",
        "Isolate",
    ]
    assert all(order.is_open and order.comment == "New new comment" for order in orders)


@needs_samples
async def test_a_recorded_machine_without_onboarding_status_counts_as_onboarded() -> None:
    # when
    machine = await MachineClient(Recorded("mde_machine_get.json"), SteppedClock()).get("1234")

    # then
    assert (machine.id, machine.dns_name, machine.os) == ("1234", "my-hostname", "Windows10")
    assert machine.is_onboarded
    assert machine.tags == ("ExampleTag1", "ExampleTag2")
