"""How a device of an incident becomes one onboarded machine, or is not acted on."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from quell import Device, Resolution, Trait, Unresolved, resolver
from quell.errors import AnswerNotFound, PermissionMissing, RequestRefused
from quell_defender.identities import IdentityAccountsClient
from quell_defender.machines import Machine, MachineClient
from quell_device.settings import DeviceSettings
from quell_device.traits import kind_of, listed, sensed

__all__ = ["resolve_device"]


@resolver(
    Device,
    system="defender",
    permissions=("Machine.Read.All", "SecurityIdentitiesSensors.Read.All"),
)
async def resolve_device(
    device: Device,
    machines: MachineClient,
    identities: IdentityAccountsClient,
    settings: DeviceSettings,
) -> Resolution | Unresolved:
    """Find the one machine that a device names, by its strongest name, with its traits."""
    try:
        found = await _find(device, machines)
    except (AnswerNotFound, RequestRefused) as error:
        return Unresolved(reason=f"The product knows no such machine: {error.message}")
    if isinstance(found, Unresolved):
        return found
    return await _describe(device, found, identities, settings)


async def _find(device: Device, machines: MachineClient) -> Machine | Unresolved:
    if device.mde_id:
        return _usable((await machines.get(device.mde_id),), "machine id")
    if device.entra_id:
        return _usable(await machines.list_by_entra_id(device.entra_id), "directory device id")
    if device.dns_name:
        return _usable(await machines.list_by_dns_name(device.dns_name), "full name")
    if device.host_name:
        return _usable(await machines.list_by_host_name(device.host_name), "host name")
    return Unresolved(reason="The device has no name that the product knows")


def _usable(found: Sequence[Machine], name: str) -> Machine | Unresolved:
    onboarded = [machine for machine in found if machine.is_onboarded and machine.id]
    if len(onboarded) == 1:
        return onboarded[0]
    if onboarded:
        return Unresolved(reason=f"{len(onboarded)} onboarded machines have this {name}")
    if found:
        return Unresolved(reason="The machine is not onboarded: its sensor takes no orders")
    return Unresolved(reason=f"No machine has this {name}")


async def _describe(
    device: Device,
    machine: Machine,
    identities: IdentityAccountsClient,
    settings: DeviceSettings,
) -> Resolution:
    names = [name for name in (machine.dns_name, device.dns_name, device.host_name) if name]
    traits = kind_of(machine.os) | listed(names, machine.tags, settings)
    remark = ""
    if Trait.WORKSTATION not in traits:
        try:
            traits |= sensed(names, await identities.list_sensors())
        except (AnswerNotFound, PermissionMissing, RequestRefused) as error:
            remark = f"Identity sensors could not be read: {error.message}"
    entity = _named(device, machine)
    return Resolution(
        entity=entity,
        aliases=tuple(dict.fromkeys((*entity.aliases(), *device.aliases()))),
        traits=traits,
        facts=_facts(machine, remark),
    )


def _named(device: Device, machine: Machine) -> Device:
    """Give the device all names of the machine; the product's own win over an incident's."""
    return replace(
        device,
        mde_id=machine.id,
        entra_id=machine.entra_id or device.entra_id,
        dns_name=machine.dns_name or device.dns_name,
        host_name=device.host_name or machine.dns_name.partition(".")[0] or None,
        os=machine.os or device.os,
        os_version=machine.os_version or device.os_version,
        health=machine.health or device.health,
        onboarding=machine.onboarding or device.onboarding,
    )


def _facts(machine: Machine, remark: str) -> dict[str, str]:
    facts = {
        "machine_id": machine.id,
        "os": machine.os,
        "health": machine.health,
        "last_seen": machine.last_seen,
        "remark": remark,
    }
    return {name: value for name, value in facts.items() if value}
