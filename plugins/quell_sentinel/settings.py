"""The settings section `sentinel`: which workspaces of a tenant hold incidents."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec

from quell.domain.secret import Secret

__all__ = ["IngestionRule", "SentinelSettings", "Workspace"]

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
_GROUP = re.compile(r"[\w().\-]{1,90}")
_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,88}[A-Za-z0-9]")


_RULE = re.compile(r"dcr-[0-9a-f]{32}")
#: what a table's name may begin with, and how long that may be
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9]{0,19}")


class IngestionRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One data collection rule that takes rows; `quell sentinel tables` writes its definition."""

    #: immutable id of the rule: `dcr-` and 32 digits
    id: str
    #: the rule's own ingestion endpoint; empty for `microsoft.ingestion_url`
    endpoint: str = ""

    def __post_init__(self) -> None:
        if not _RULE.fullmatch(self.id):
            raise ValueError("id is not a rule's immutable id, which is dcr- and 32 digits")
        if self.endpoint and not self.endpoint.startswith("https://"):
            raise ValueError("endpoint must begin with https://")


class Workspace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Log Analytics workspace with Sentinel."""

    #: subscription id (GUID)
    subscription_id: str
    #: resource group
    resource_group: str
    #: workspace name
    workspace: str
    #: name of the source, as `quell` shows it and other settings refer to it
    source_id: str = "sentinel"
    #: version of Sentinel's API
    api_version: str = "2025-09-01"
    #: whether copies of incidents may be made here
    can_create: bool = True
    #: data collection rules that take events, by group of tables as `quell events tables` lists
    #: them; `default` is for all groups that are not named
    rules: dict[str, IngestionRule] = msgspec.field(default_factory=dict[str, IngestionRule])

    def __post_init__(self) -> None:
        if not _GUID.fullmatch(self.subscription_id):
            raise ValueError("subscription_id is not a GUID")
        if not _GROUP.fullmatch(self.resource_group) or self.resource_group.endswith("."):
            raise ValueError("resource_group is not a resource group's name")
        if not _WORKSPACE.fullmatch(self.workspace):
            raise ValueError("workspace is not a workspace's name")
        if not self.source_id or "/" in self.source_id:
            raise ValueError("source_id must be a name without a slash")

    @property
    def path(self) -> str:
        """Give the path of this workspace's Sentinel below the resource manager."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.OperationalInsights/workspaces/{self.workspace}"
            "/providers/Microsoft.SecurityInsights"
        )


class SentinelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How quell reads and writes the incidents of a tenant's Sentinel workspaces."""

    #: the workspaces; each is a source of its own
    workspaces: tuple[Workspace, ...] = ()
    #: minutes that each poll goes back: incidents become visible late
    overlap_minutes: int = 10
    #: days that the first poll goes back
    lookback_days: int = 7
    #: seconds between two polls
    poll_every: float = 30.0
    #: incidents a page; the product takes 1,000 at most
    page_size: int = 1_000
    #: whether tasks of incidents are read, and copied between workspaces
    tasks: bool = True
    #: hours between two sweeps, which take in what polls missed; 0 is never
    sweep_hours: float = 6.0
    #: days that each sweep goes back
    sweep_days: float = 3.0
    #: key that `/webhooks/sentinel` is signed with; write `env:NAME` or `file:/path`
    webhook_secret: Secret | None = None
    #: client ids or object ids of applications whose Entra tokens `/webhooks/sentinel` believes
    webhook_callers: frozenset[str] = frozenset()
    #: application (client) id that such a token must be issued for
    webhook_audience: str = ""
    #: what the names of tables for events begin with
    table_prefix: str = "Quell"

    def __post_init__(self) -> None:
        if not 1 <= self.page_size <= 1_000:
            raise ValueError("page_size must be 1 to 1000")
        if self.overlap_minutes < 0 or self.lookback_days < 0 or self.poll_every <= 0:
            raise ValueError("overlap_minutes, lookback_days and poll_every must not be negative")
        if not (self.sweep_hours >= 0 and 0 < self.sweep_days <= 365):
            raise ValueError("sweep_hours must not be negative, and sweep_days at most 365")
        if not _PREFIX.fullmatch(self.table_prefix):
            raise ValueError("table_prefix must be up to 20 letters and digits")
        if not all(_GUID.fullmatch(name) for name in self.webhook_callers):
            raise ValueError("webhook_callers must be GUIDs")
        if self.webhook_callers and not _GUID.fullmatch(self.webhook_audience):
            raise ValueError("webhook_callers need webhook_audience, the GUID of an application")
        names = [workspace.source_id for workspace in self.workspaces]
        if len(set(names)) != len(names):
            raise ValueError("each workspace needs a source_id of its own")

    @property
    def overlap(self) -> timedelta:
        """Give the overlap as a duration."""
        return timedelta(minutes=self.overlap_minutes)

    @property
    def lookback(self) -> timedelta:
        """Give the look-back window as a duration."""
        return timedelta(days=self.lookback_days)
