"""What an operator says about devices that must be left alone."""

from __future__ import annotations

import platform

import msgspec

from quell import ConnectorContext, SettingsSection

__all__ = ["SECTION", "DeviceSettings"]


class DeviceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Devices that get a protected trait whatever the product says about them."""

    #: names of domain controllers, short or full; never isolated
    domain_controllers: tuple[str, ...] = ()
    #: machine tags that mark a domain controller
    domain_controller_tags: tuple[str, ...] = ("DomainController", "Domain Controller")
    #: names of the hosts that quell itself runs on, besides the one it finds itself on
    own_hosts: tuple[str, ...] = ()

    @classmethod
    def connect(cls, context: ConnectorContext) -> DeviceSettings:
        """Give this tenant's values, with the present host among our own."""
        stored = context.settings(cls)
        return msgspec.structs.replace(stored, own_hosts=(*stored.own_hosts, platform.node()))


SECTION = SettingsSection(name="device", model=DeviceSettings)
