"""What the guard must know about a device: pure rules from its record, our lists and the sensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quell import Trait
from quell_defender.identities import Sensor
from quell_device.settings import DeviceSettings

__all__ = ["is_same_host", "kind_of", "listed", "sensed"]

_WORKSTATIONS = frozenset(
    {"windows7", "windows8", "windows8.1", "windows10", "windows11", "macos", "windowsxp"}
)
_LINUX = (
    "linux",
    "ubuntu",
    "debian",
    "redhat",
    "rhel",
    "centos",
    "suse",
    "sles",
    "oracle",
    "fedora",
)


def kind_of(os_platform: str) -> frozenset[Trait]:
    """Tell a workstation from a server by the platform's name; nothing when it is not known.

    Desktops that many people share at once (`Windows10WVD`) are not known on purpose.
    """
    platform = os_platform.strip().lower()
    if platform in _WORKSTATIONS:
        return frozenset({Trait.WORKSTATION})
    if platform.startswith(("windowsserver", "aix", "solaris", *_LINUX)):
        return frozenset({Trait.SERVER})
    return frozenset()


def is_same_host(one: str, other: str) -> bool:
    """Tell whether two names may mean one host: full against full, else the first labels."""
    left, right = one.strip().lower().rstrip("."), other.strip().lower().rstrip(".")
    if not left or not right:
        return False
    if "." in left and "." in right:
        return left == right
    return left.partition(".")[0] == right.partition(".")[0]


def listed(names: Iterable[str], tags: Sequence[str], settings: DeviceSettings) -> frozenset[Trait]:
    """Give the traits that an operator's lists and the machine's tags assign."""
    known = tuple(names)
    marks = {tag.strip().lower() for tag in settings.domain_controller_tags}
    found: set[Trait] = set()
    if _is_among(known, settings.domain_controllers) or marks & {
        tag.strip().lower() for tag in tags
    }:
        found |= {Trait.DOMAIN_CONTROLLER, Trait.SERVER}
    if _is_among(known, settings.own_hosts):
        found.add(Trait.OWN_HOST)
    return frozenset(found)


def sensed(names: Iterable[str], sensors: Iterable[Sensor]) -> frozenset[Trait]:
    """Give the traits that follow from an identity sensor with one of these names.

    A sensor's short name is compared with the first label: rather one host too many.
    """
    known = tuple(names)
    found: set[Trait] = set()
    for sensor in sensors:
        if _is_among(known, (sensor.name,)):
            found.add(Trait.IDENTITY_SENSOR)
            if sensor.kind.lower().startswith("domaincontroller"):
                found |= {Trait.DOMAIN_CONTROLLER, Trait.SERVER}
    return frozenset(found)


def _is_among(names: Iterable[str], wanted: Iterable[str]) -> bool:
    others = tuple(wanted)
    return any(is_same_host(name, other) for name in names for other in others)
