"""What the guard is told about a device."""

from __future__ import annotations

import pytest

from quell import Trait
from quell_defender.identities import Sensor
from quell_device.settings import DeviceSettings
from quell_device.traits import is_same_host, kind_of, listed, sensed


@pytest.mark.parametrize("platform", ["Windows10", "Windows11", "macOS"])
def test_a_desktop_system_is_a_workstation(platform: str) -> None:
    assert kind_of(platform) == {Trait.WORKSTATION}


@pytest.mark.parametrize("platform", ["WindowsServer2022", "Linux", "RedHatEnterpriseLinux"])
def test_a_server_system_is_a_server(platform: str) -> None:
    assert kind_of(platform) == {Trait.SERVER}


@pytest.mark.parametrize("platform", ["", "Windows10WVD", "Windows11WVD", "iOS", "Other"])
def test_a_system_that_many_may_share_or_nobody_knows_is_neither(platform: str) -> None:
    assert kind_of(platform) == frozenset()


@pytest.mark.parametrize("name", ["dc01", "DC01.CORP.EXAMPLE", "dc01.corp.example."])
def test_a_listed_domain_controller_is_one_by_any_of_its_names(name: str) -> None:
    # given
    settings = DeviceSettings(domain_controllers=("dc01.corp.example",))

    # then
    assert Trait.DOMAIN_CONTROLLER in listed([name], (), settings)


def test_a_host_of_another_domain_is_another_host() -> None:
    assert not is_same_host("dc01.lab.example", "dc01.corp.example")


def test_a_machine_tag_marks_a_domain_controller() -> None:
    assert Trait.DOMAIN_CONTROLLER in listed(["x"], ("domaincontroller",), DeviceSettings())


def test_our_own_host_is_marked() -> None:
    assert listed(["soar-1.corp.example"], (), DeviceSettings(own_hosts=("soar-1",))) == {
        Trait.OWN_HOST
    }


@pytest.mark.parametrize(
    ("kind", "is_controller"),
    [
        ("domainControllerIntegrated", True),
        ("domainControllerStandalone", True),
        ("adfsIntegrated", False),
        ("adConnectIntegrated", False),
    ],
)
def test_a_host_with_an_identity_sensor_is_marked(kind: str, is_controller: bool) -> None:
    # given
    sensors = [Sensor(name="HOST7", kind=kind, domain="corp.example")]

    # when
    traits = sensed(["host7.corp.example"], sensors)

    # then
    assert Trait.IDENTITY_SENSOR in traits
    assert (Trait.DOMAIN_CONTROLLER in traits) is is_controller


def test_nothing_matches_an_empty_name() -> None:
    assert sensed([""], [Sensor(name="", kind="domainControllerIntegrated", domain="")]) == set()
