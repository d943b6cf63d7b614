"""Checks for `quell doctor`: whether each workspace's incidents can be listed."""

from __future__ import annotations

from collections.abc import Sequence

from quell import CheckResult, ConnectorContext
from quell.errors import QuellError
from quell_sentinel.client import READER
from quell_sentinel.incidents import client
from quell_sentinel.settings import SentinelSettings, Workspace

__all__ = ["check_workspaces"]


async def check_workspaces(context: ConnectorContext) -> Sequence[CheckResult]:
    """List one incident of each workspace, and say which role is missing where that fails."""
    workspaces = context.settings(SentinelSettings).workspaces
    if not workspaces:
        return [CheckResult(ok=True, what="Sentinel workspaces", detail="none is set")]
    return [await _check(context, workspace) for workspace in workspaces]


async def _check(context: ConnectorContext, workspace: Workspace) -> CheckResult:
    what = f"Sentinel workspace {workspace.source_id}"
    try:
        await client(context, workspace, "reader").newest()
    except QuellError as problem:
        return CheckResult(ok=False, what=what, detail=problem.message, remedy=problem.remedy)
    return CheckResult(ok=True, what=what, detail=f"can be listed ({READER})")
