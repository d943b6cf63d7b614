"""Actions on devices: isolate and release, with how a device is found and what protects it."""

from __future__ import annotations

from collections.abc import Sequence

from quell import Action, ConnectorSpec, Resolver, SettingsSection, hookimpl
from quell_device.isolate import IsolateParams, IsolationMode, isolate
from quell_device.release import release
from quell_device.resolve import resolve_device
from quell_device.settings import SECTION, DeviceSettings

__all__ = ["DeviceSettings", "IsolateParams", "IsolationMode"]


@hookimpl
def quell_settings() -> Sequence[SettingsSection]:
    """Declare which devices an operator protects."""
    return (SECTION,)


@hookimpl
def quell_connectors() -> Sequence[ConnectorSpec]:
    """Let the resolver ask for the settings as it asks for a client."""
    return (ConnectorSpec(kind=DeviceSettings, build=DeviceSettings.connect, is_stateless=True),)


@hookimpl
def quell_actions() -> Sequence[Action]:
    """Offer the actions on devices."""
    return (isolate, release)


@hookimpl
def quell_resolvers() -> Sequence[Resolver]:
    """Offer how devices are found."""
    return (resolve_device,)
