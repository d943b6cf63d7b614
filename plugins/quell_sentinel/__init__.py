"""Microsoft Sentinel for quell: the incident queues of a tenant's workspaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from quell import Check, EventSinkSpec, Grant, SettingsSection, SourceSpec, hookimpl
from quell.domain.offers import WebhookVerifier
from quell_sentinel.checks import check_workspaces
from quell_sentinel.client import READER, RESPONDER
from quell_sentinel.commands import sentinel
from quell_sentinel.fields import FIELDS
from quell_sentinel.incidents import SentinelIncidents
from quell_sentinel.ingestion import ROLE, WorkspaceSink
from quell_sentinel.settings import SentinelSettings, Workspace
from quell_sentinel.webhook import SentinelWebhook

if TYPE_CHECKING:
    import click

__all__ = [
    "SentinelIncidents",
    "SentinelSettings",
    "SentinelWebhook",
    "Workspace",
    "WorkspaceSink",
    "quell_checks",
    "quell_commands",
    "quell_event_sinks",
    "quell_settings",
    "quell_sources",
    "quell_webhooks",
]


@hookimpl
def quell_settings() -> Sequence[SettingsSection]:
    """Declare the section `sentinel`."""
    return [SettingsSection(name="sentinel", model=SentinelSettings)]


@hookimpl
def quell_sources() -> Sequence[SourceSpec]:
    """Offer each workspace's incident queue: it is where copies are made."""
    return [
        SourceSpec(
            system="sentinel",
            part="mirrors",
            build=SentinelIncidents.build,
            fields=FIELDS,
            grants=[
                Grant(
                    identity="reader",
                    permission=f"{READER} on the workspace",
                    purpose="reading incidents, comments, tasks and alerts",
                ),
                Grant(
                    identity="sync",
                    permission=f"{RESPONDER} on the workspace",
                    purpose="writing and making incidents, comments and tasks",
                ),
            ],
        )
    ]


@hookimpl
def quell_checks() -> Sequence[Check]:
    """Offer the check of what the reader may see."""
    return [Check(name="sentinel", run=check_workspaces)]


@hookimpl
def quell_webhooks() -> Sequence[WebhookVerifier]:
    """Offer the verifier of calls from automation rules."""
    return [SentinelWebhook()]


@hookimpl
def quell_event_sinks() -> Sequence[EventSinkSpec]:
    """Offer each workspace that has data collection rules as a place that takes events."""
    return [
        EventSinkSpec(
            system="sentinel",
            build=WorkspaceSink.build,
            grants=[
                Grant(
                    identity="sync",
                    permission=f"{ROLE} on the data collection rules",
                    purpose="events: all tables",
                )
            ],
        )
    ]


@hookimpl
def quell_commands() -> Sequence[click.Command]:
    """Offer `quell sentinel`."""
    return [sentinel]
