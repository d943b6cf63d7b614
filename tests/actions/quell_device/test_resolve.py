"""How a device of an incident becomes one machine, against a simulated tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quell import Device, Resolution, Trait, Unresolved
from quell.errors import ServerFailure
from quell_device.resolve import resolve_device

if TYPE_CHECKING:
    from tests.actions.conftest import Lab

pytestmark = pytest.mark.anyio

ONE, OTHER = "aa" * 20, "bb" * 20
HOSTILE = (
    "x' or computerDnsName ne '",
    "../../machineactions",
    "..",
    "a/b?c=d#e",
    "%2e%2e%2f",
    "lap1\r\nX-Injected: yes",
    "ｌａｐ１\u202e",
    "'",
    "",
)


def machine(lab: Lab, machine_id: str, name: str, **fields: object) -> None:
    """Put a machine into the tenant."""
    lab.tenant.devices.add_machine({"id": machine_id, "computerDnsName": name, **fields})


async def test_a_machine_is_found_by_its_id_with_all_its_names(lab: Lab) -> None:
    # given
    machine(lab, ONE, "lap1.corp.example", aadDeviceId="0b6f0c4e-0000-4000-8000-0000000000e1")

    # when
    found = await lab.resolve(resolve_device, Device(mde_id=ONE.upper()))

    # then
    assert isinstance(found, Resolution)
    names = {(alias.kind, alias.value) for alias in found.aliases}
    assert {("mde", ONE), ("dns", "lap1.corp.example"), ("host", "lap1")} <= names
    assert ("entra_device", "0b6f0c4e-0000-4000-8000-0000000000e1") in names
    assert found.traits == {Trait.WORKSTATION}


@pytest.mark.parametrize(
    "device",
    [
        Device(entra_id="0b6f0c4e-0000-4000-8000-0000000000e1"),
        Device(dns_name="LAP1.corp.example"),
        Device(host_name="Lap1"),
    ],
)
async def test_a_machine_is_found_by_any_name_that_is_its_alone(lab: Lab, device: Device) -> None:
    # given
    machine(lab, ONE, "lap1.corp.example", aadDeviceId="0b6f0c4e-0000-4000-8000-0000000000e1")
    machine(lab, OTHER, "lap10.corp.example")

    # when
    found = await lab.resolve(resolve_device, device)

    # then
    assert isinstance(found, Resolution)
    assert isinstance(found.entity, Device)
    assert found.entity.mde_id == ONE


async def test_two_onboarded_machines_with_one_name_are_not_acted_on(lab: Lab) -> None:
    # given
    machine(lab, ONE, "lap1.corp.example")
    machine(lab, OTHER, "lap1.corp.example")

    # when
    found = await lab.resolve(resolve_device, Device(dns_name="lap1.corp.example"))

    # then
    assert isinstance(found, Unresolved)
    assert found.reason.startswith("2 onboarded machines")


async def test_one_host_name_in_two_domains_is_not_acted_on(lab: Lab) -> None:
    # given
    machine(lab, ONE, "lap1.corp.example")
    machine(lab, OTHER, "lap1.lab.example")

    # then
    assert isinstance(await lab.resolve(resolve_device, Device(host_name="lap1")), Unresolved)


async def test_of_two_records_of_one_host_the_onboarded_one_counts(lab: Lab) -> None:
    # given
    machine(lab, ONE, "lap1.corp.example", onboardingStatus="CanBeOnboarded")
    machine(lab, OTHER, "lap1.corp.example")

    # when
    found = await lab.resolve(resolve_device, Device(dns_name="lap1.corp.example"))

    # then
    assert isinstance(found, Resolution)
    assert isinstance(found.entity, Device)
    assert found.entity.mde_id == OTHER


async def test_a_machine_whose_sensor_takes_no_orders_is_not_acted_on(lab: Lab) -> None:
    # given
    machine(lab, ONE, "lap1.corp.example", onboardingStatus="Unsupported")

    # then
    assert isinstance(await lab.resolve(resolve_device, Device(mde_id=ONE)), Unresolved)


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_finds_nothing_and_goes_nowhere_else(lab: Lab, name: str) -> None:
    # given
    machine(lab, ONE, "lap1.corp.example")
    devices = [
        Device(mde_id=name),
        Device(entra_id=name),
        Device(dns_name=name),
        Device(host_name=name),
    ]

    # when
    found = [await lab.resolve(resolve_device, device) for device in devices]

    # then
    assert all(isinstance(each, Unresolved) for each in found)
    routes = {route for _, route, _ in lab.tenant.ledger.calls if route.startswith("/api")}
    assert routes <= {"/api/machines", "/api/machines/{machine_id}"}


async def test_a_server_system_is_a_server_and_an_unknown_one_is_neither(lab: Lab) -> None:
    # given
    machine(lab, ONE, "srv1.corp.example", osPlatform="WindowsServer2022")
    machine(lab, OTHER, "vdi1.corp.example", osPlatform="Windows11WVD")

    # when
    server = await lab.target(resolve_device, Device(mde_id=ONE))
    shared = await lab.target(resolve_device, Device(mde_id=OTHER))

    # then
    assert server.traits == {Trait.SERVER}
    assert shared.traits == frozenset()


async def test_a_listed_domain_controller_is_marked_whatever_name_it_is_found_by(lab: Lab) -> None:
    # given
    lab.sections["device"] = {"domain_controllers": ["dc1"], "own_hosts": ["soar1.corp.example"]}
    machine(lab, ONE, "dc1.corp.example", osPlatform="WindowsServer2022")
    machine(lab, OTHER, "soar1.corp.example", osPlatform="Linux")

    # when
    controller = await lab.target(resolve_device, Device(mde_id=ONE))
    own = await lab.target(resolve_device, Device(mde_id=OTHER))

    # then
    assert Trait.DOMAIN_CONTROLLER in controller.traits
    assert Trait.OWN_HOST in own.traits


async def test_a_product_that_fails_is_not_a_machine_that_does_not_exist(lab: Lab) -> None:
    # given
    machine(lab, ONE, "lap1.corp.example")
    lab.fault("500", "/api/machines", times=10)

    # then
    with pytest.raises(ServerFailure):
        await lab.resolve(resolve_device, Device(mde_id=ONE))
