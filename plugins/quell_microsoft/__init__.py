"""Microsoft: sign-in, clouds and clients for Graph, Defender for Endpoint, ARM and log ingestion.

Importing it loads no HTTP client and no sign-in library; those come with the first call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quell import Check, ConnectorSpec, SettingsSection, SimulatorSpec, hookimpl
from quell.domain.simulator import SimulatorControl
from quell_microsoft.addresses import odata_string, quote
from quell_microsoft.answers import Answer
from quell_microsoft.api import ApiClient, ArmClient, EndpointClient, IngestionClient
from quell_microsoft.batch import BatchAnswer, BatchRequest
from quell_microsoft.bridge import bridge_of
from quell_microsoft.callers import Caller, CallerCheck
from quell_microsoft.checks import CHECKS
from quell_microsoft.clouds import Api, Cloud
from quell_microsoft.directory import DirectoryClient
from quell_microsoft.errors import NotSent
from quell_microsoft.graph import GraphClient
from quell_microsoft.limits import rates_of
from quell_microsoft.settings import Identity, MicrosoftSettings

__all__ = [
    "Answer",
    "Api",
    "ApiClient",
    "ArmClient",
    "BatchAnswer",
    "BatchRequest",
    "Caller",
    "CallerCheck",
    "Cloud",
    "DirectoryClient",
    "EndpointClient",
    "GraphClient",
    "Identity",
    "IngestionClient",
    "MicrosoftSettings",
    "NotSent",
    "odata_string",
    "quote",
]

CLIENTS: tuple[type[ApiClient], ...] = (GraphClient, EndpointClient, ArmClient, IngestionClient)


@hookimpl
def quell_settings() -> Sequence[SettingsSection]:
    """Declare `[tenant.ID.microsoft]`."""
    return [SettingsSection(name="microsoft", model=MicrosoftSettings)]


@hookimpl
def quell_connectors() -> Sequence[ConnectorSpec]:
    """Offer one client per API, and the directory's users on top of Graph."""
    clients = [
        ConnectorSpec(
            kind=client,
            build=client.build,
            close=ApiClient.aclose,
            rates=rates_of(client.api),
            bridge=bridge_of(client),
        )
        for client in CLIENTS
    ]
    return [
        *clients,
        ConnectorSpec(kind=DirectoryClient, build=DirectoryClient.connect, is_stateless=True),
        ConnectorSpec(kind=CallerCheck, build=CallerCheck.build),
    ]


@hookimpl
def quell_checks() -> Sequence[Check]:
    """Offer what `quell doctor` asks of Microsoft."""
    return CHECKS


@hookimpl
def quell_simulators() -> Sequence[SimulatorSpec]:
    """Offer the simulated tenant."""
    return [
        SimulatorSpec(
            name="microsoft",
            summary="A tenant that answers like Graph, Defender, Entra and Sentinel.",
            serve=_serve,
            settings_from=_settings_from,
            control=_control,
        )
    ]


def _serve(options: Mapping[str, Any]) -> None:
    from quell_microsoft.simulator.server import serve

    serve(options)


def _control(ready: Mapping[str, Any]) -> SimulatorControl:
    from quell_microsoft.simulator.control import control

    return control(ready)


def _settings_from(ready: Mapping[str, Any]) -> dict[str, Any]:
    from quell_microsoft.simulated import settings_from

    return settings_from(ready)
