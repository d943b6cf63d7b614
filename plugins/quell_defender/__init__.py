"""Microsoft Defender for quell: the incident queue, and clients that actions ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from quell import (
    Check,
    ConnectorSpec,
    EventSourceSpec,
    Grant,
    SettingsSection,
    SourceSpec,
    hookimpl,
)
from quell_defender.checks import check_incidents
from quell_defender.client import READ, READ_ALERTS, WRITE
from quell_defender.events import DefenderEvents, event_tables
from quell_defender.fields import FIELDS
from quell_defender.hunting import HUNT, HuntingClient
from quell_defender.identities import IdentityAccountsClient
from quell_defender.incidents import DefenderIncidents
from quell_defender.machines import MachineClient
from quell_defender.mail import MailClient
from quell_defender.mail_bridge import MAIL_BRIDGE
from quell_defender.settings import DefenderSettings

__all__ = [
    "DefenderEvents",
    "DefenderIncidents",
    "DefenderSettings",
    "HuntingClient",
    "IdentityAccountsClient",
    "MachineClient",
    "MailClient",
    "quell_checks",
    "quell_connectors",
    "quell_event_sources",
    "quell_playbooks",
    "quell_settings",
    "quell_sources",
]


@hookimpl
def quell_settings() -> Sequence[SettingsSection]:
    """Declare the section `defender`."""
    return [SettingsSection(name="defender", model=DefenderSettings)]


@hookimpl
def quell_sources() -> Sequence[SourceSpec]:
    """Offer the incident queue: it is where incidents begin."""
    return [
        SourceSpec(
            system="defender",
            part="detects",
            build=DefenderIncidents.build,
            fields=FIELDS,
            grants=[
                Grant(identity="reader", permission=READ, purpose="reading incidents"),
                Grant(identity="reader", permission=READ_ALERTS, purpose="reading alerts"),
                Grant(identity="sync", permission=WRITE, purpose="writing incidents and comments"),
            ],
        )
    ]


@hookimpl
def quell_event_sources() -> Sequence[EventSourceSpec]:
    """Offer alerts, evidence and the raw tables of advanced hunting."""
    return [
        EventSourceSpec(
            system="defender",
            tables=event_tables,
            build=DefenderEvents.build,
            grants=[
                Grant(
                    identity="reader", permission=READ_ALERTS, purpose="events: Alerts and Evidence"
                ),
                Grant(identity="reader", permission=HUNT, purpose="events: all other tables"),
            ],
        )
    ]


@hookimpl
def quell_checks() -> Sequence[Check]:
    """Offer the check of what the reader may see."""
    return [Check(name="defender", run=check_incidents)]


# -- clients for actions: each is a ConnectorSpec of this list ----------------------------------

_CONNECTORS: list[ConnectorSpec] = [
    ConnectorSpec(kind=MachineClient, build=MachineClient.connect, is_stateless=True),
    ConnectorSpec(
        kind=IdentityAccountsClient, build=IdentityAccountsClient.connect, is_stateless=True
    ),
    ConnectorSpec(kind=MailClient, build=MailClient.connect, bridge=MAIL_BRIDGE),
    ConnectorSpec(kind=HuntingClient, build=HuntingClient.connect, is_stateless=True),
]


@hookimpl
def quell_connectors() -> Sequence[ConnectorSpec]:
    """Offer the clients that actions ask for by type."""
    return _CONNECTORS


# -- playbooks ---------------------------------------------------------------------------------


@hookimpl
def quell_playbooks() -> Sequence[Path]:
    """Ship the playbooks of this folder."""
    return sorted((Path(__file__).parent / "playbooks").glob("*.yml"))
