"""The settings section `sentinel`: which workspaces of a tenant hold incidents."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec

from quell.domain.secret import Secret

__all__ = ["SentinelSettings", "Workspace"]

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
_GROUP = re.compile(r"[\w().\-]{1,90}")
_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,88}[A-Za-z0-9]")


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
    #: key that `/webhooks/sentinel` is signed with; write `env:NAME` or `file:/path`
    webhook_secret: Secret | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.page_size <= 1_000:
            raise ValueError("page_size must be 1 to 1000")
        if self.overlap_minutes < 0 or self.lookback_days < 0 or self.poll_every <= 0:
            raise ValueError("overlap_minutes, lookback_days and poll_every must not be negative")
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
