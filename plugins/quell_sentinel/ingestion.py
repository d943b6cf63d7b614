"""Takes events into a workspace: rows shaped for our own tables, sent through Logs Ingestion.

https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from quell import ConnectorContext, Delivery, EventTable, RowOrigin, ShapedRow
from quell.domain.ids import SourceId
from quell.errors import (
    AnswerNotFound,
    ConnectorError,
    PermissionMissing,
    RequestRefused,
    SettingsError,
)
from quell_microsoft import IngestionClient, quote
from quell_sentinel.columns import OVERFLOW, Misfit, column_names, cut, fitted
from quell_sentinel.settings import IngestionRule, SentinelSettings, Workspace

__all__ = ["WorkspaceSink", "stream_name", "table_name"]

API_VERSION = "2023-01-01"
ROLE = "Monitoring Metrics Publisher"
#: the service takes 1 MB, before and after compression; what compresses badly grows a little
BATCH_LIMIT = 1_000_000
TOO_LARGE = 413


def table_name(prefix: str, table: EventTable) -> str:
    """Name our table in the workspace."""
    return f"{prefix}{table.name}_CL"


def stream_name(prefix: str, table: EventTable) -> str:
    """Name the stream of a rule that leads to the table."""
    return f"Custom-{table_name(prefix, table)}"


class WorkspaceSink:
    """One workspace with rules that take rows."""

    batch_limit = BATCH_LIMIT

    def __init__(self, client: IngestionClient, workspace: Workspace, prefix: str) -> None:
        self.sink_id = workspace.source_id
        self.source_id = SourceId(workspace.source_id)
        self._client = client
        self._rules = workspace.rules
        self._prefix = prefix

    @classmethod
    def build(cls, context: ConnectorContext) -> Sequence[WorkspaceSink]:
        """Build a sink for each workspace that has rules."""
        settings = context.settings(SentinelSettings)
        return [
            cls(context.connector(IngestionClient), workspace, settings.table_prefix)
            for workspace in settings.workspaces
            if workspace.rules
        ]

    # -- rows ------------------------------------------------------------------------------------

    def shape(self, origin: RowOrigin, row: Mapping[str, Any]) -> Sequence[ShapedRow]:
        """Write a row for our table; what is too long for a column goes on in rows of its own."""
        body, too_long = _body(origin, row)
        overflow = [
            ShapedRow(stream=self._stream(origin, OVERFLOW), body=part)
            for column, parts in too_long.items()
            for part in _overflow(origin, body, column, parts)
        ]
        return [ShapedRow(stream=self._stream(origin, origin.table), body=body), *overflow]

    def _stream(self, origin: RowOrigin, table: EventTable) -> str:
        # the group is the rule's: what waits says by itself where it goes
        return f"{origin.table.group}/{stream_name(self._prefix, table)}"

    # -- sending ---------------------------------------------------------------------------------

    async def send(self, stream: str, body: bytes) -> Delivery:
        """Send compressed rows. Sending them twice adds rows with keys that are there already."""
        group, _, name = stream.partition("/")
        rule = self._rule(group)
        try:
            await self._client.post(
                f"{rule.endpoint.rstrip('/')}/dataCollectionRules/{rule.id}/streams/{quote(name)}",
                body,
                params={"api-version": API_VERSION},
                headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
                permission=ROLE,
                is_repeatable=True,
            )
        except PermissionMissing as error:
            raise _with_remedy(error, _no_leave(rule, group)) from error
        except AnswerNotFound as error:
            raise _with_remedy(error, _no_rule(rule, group, name)) from error
        except RequestRefused as error:
            if error.status != TOO_LARGE:
                raise _with_remedy(error, _no_sense(name)) from error
            return Delivery.TOO_LARGE
        return Delivery.TAKEN

    def _rule(self, group: str) -> IngestionRule:
        rule = self._rules.get(group, self._rules.get("default"))
        if rule is None:
            raise SettingsError(
                name=f"sentinel.workspaces.rules.{group}",
                problem=f"workspace {self.sink_id} has no rule for the tables of {group!r}",
                remedy="Create it with what `quell sentinel tables` writes, and set its id.",
            )
        return rule


def _body(origin: RowOrigin, row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Write the columns of a row; gives the parts of values that are too long beside it."""
    names = column_names(origin.table.columns)
    body: dict[str, Any] = {
        "RowKey": origin.key,
        "RowSource": f"{origin.tenant_id}/{origin.source_id}",
    }
    more = {
        name: value
        for name, value in row.items()
        if name not in origin.table.columns and value is not None
    }
    too_long: dict[str, list[str]] = {}
    for column, kind in origin.table.columns.items():
        value = row.get(column)
        if value is None:
            continue
        try:
            _put(body, names[column], fitted(kind, value), too_long)
        except Misfit:
            more[column] = value
        if column == origin.table.time and names[column] in body:
            body["TimeGenerated"] = body[names[column]]
    if more:
        _put(body, "MoreColumns", more, too_long)
    if too_long:
        body["CutColumns"] = sorted(too_long)
    return body, too_long


def _put(body: dict[str, Any], name: str, value: Any, too_long: dict[str, list[str]]) -> None:
    """Put a value into its column: of a text that is too long the beginning, of JSON nothing."""
    if isinstance(value, bool | int | float):
        body[name] = value
        return
    parts = cut(value if isinstance(value, str) else _json_text(value))
    if len(parts) == 1:
        body[name] = value
        return
    too_long[name] = parts
    if isinstance(value, str):
        body[name] = parts[0]


def _overflow(
    origin: RowOrigin, body: Mapping[str, Any], column: str, parts: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Write a long value as rows; all of its parts, so that it is whole in one table."""
    for place, part in enumerate(parts):
        named = f"{origin.key}/{column}/{place}"
        row = {
            "RowKey": hashlib.sha256(named.encode()).hexdigest()[: len(origin.key)],
            "RowSource": body["RowSource"],
            "OfTable": origin.table.name,
            "OfRow": origin.key,
            "OfColumn": column,
            "Part": place,
            "Parts": len(parts),
            "Text": part,
        }
        moment = body.get("TimeGenerated")
        yield {**row, "TimeGenerated": moment} if moment is not None else row


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _with_remedy(error: ConnectorError, remedy: str) -> ConnectorError:
    fields: dict[str, Any] = {**error.fields, "remedy": remedy}
    return type(error)(**fields)


def _no_leave(rule: IngestionRule, group: str) -> str:
    return (
        f"Grant the Azure role {ROLE} on the data collection rule {rule.id} ({group}) to the "
        "identity for the role 'sync'; it may take half an hour until it counts. quell tries "
        "again by itself, or at once with `quell events retry`."
    )


def _no_rule(rule: IngestionRule, group: str, name: str) -> str:
    return (
        f"The data collection rule {rule.id} ({group}) or its stream {name} is not there: create "
        "it with what `quell sentinel tables` writes and set its id and endpoint; then "
        "`quell events retry`."
    )


def _no_sense(name: str) -> str:
    return (
        f"The rows do not fit the stream {name}: deploy what `quell sentinel tables` writes "
        "again, then `quell events retry`; or give these rows up with `quell events drop`."
    )
