"""Checks for `quell doctor`: whether incidents and alerts can be read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from quell import CheckResult, ConnectorContext
from quell.errors import QuellError
from quell_defender.client import READ, READ_ALERTS, IncidentClient
from quell_defender.settings import DefenderSettings
from quell_microsoft import GraphClient

__all__ = ["check_incidents"]


async def check_incidents(context: ConnectorContext) -> Sequence[CheckResult]:
    """Read one incident and one alert, and say which permission is missing where that fails."""
    if not context.settings(DefenderSettings).enabled:
        return [CheckResult(ok=True, what="Defender incidents", detail="switched off")]
    try:
        client = IncidentClient(context.connector(GraphClient, identity="reader"))
    except QuellError as problem:
        return [CheckResult(
            ok=False, what="Defender incidents", detail=problem.message, remedy=problem.remedy
        )]  # fmt: skip
    return [
        await _attempt("Defender incidents", READ, client.newest),
        await _attempt("Defender alerts", READ_ALERTS, client.any_alert),
    ]


async def _attempt(what: str, permission: str, read: Callable[[], Awaitable[Any]]) -> CheckResult:
    try:
        await read()
    except QuellError as problem:
        return CheckResult(ok=False, what=what, detail=problem.message, remedy=problem.remedy)
    return CheckResult(ok=True, what=what, detail=f"can be read ({permission})")
