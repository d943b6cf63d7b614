"""What a workspace needs before it takes events: our tables, and the rules that lead to them.

https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-rule-structure
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quell import ColumnType, EventTable
from quell.errors import SettingsError
from quell_sentinel.columns import OVERFLOW, stream_columns
from quell_sentinel.ingestion import stream_name, table_name

__all__ = ["FLOWS_AT_MOST", "Definitions", "RuleDefinition", "TableDefinition", "define"]

#: most flows of one rule
FLOWS_AT_MOST = 10


class TableDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """One table of ours."""

    name: str
    summary: str
    columns: dict[str, ColumnType]


class RuleDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: the streams that it takes, by name, each with the table that it leads to."""

    group: str
    name: str
    streams: dict[str, TableDefinition]


class Definitions(msgspec.Struct, frozen=True, kw_only=True):
    """All that has to be in a workspace for some tables."""

    tables: tuple[TableDefinition, ...]
    rules: tuple[RuleDefinition, ...]


def define(tables: Sequence[EventTable], prefix: str) -> Definitions:
    """Define what these tables need: themselves, one of overflow, and a rule for each group.

    Raises SettingsError where a group has more tables than a rule can lead to.
    """
    wanted = [*tables, OVERFLOW]
    defined = {
        stream_name(prefix, table): TableDefinition(
            name=table_name(prefix, table), summary=table.summary, columns=stream_columns(table)
        )
        for table in wanted
    }
    groups = dict.fromkeys(table.group for table in tables)
    rules = tuple(
        RuleDefinition(
            group=group,
            name=f"{prefix.lower()}-{group}",
            streams={
                stream_name(prefix, table): defined[stream_name(prefix, table)]
                for table in wanted
                if table.group == group or table is OVERFLOW
            },
        )
        for group in groups
    )
    for rule in rules:
        _check_size(rule)
    return Definitions(tables=tuple(defined.values()), rules=rules)


def _check_size(rule: RuleDefinition) -> None:
    if len(rule.streams) > FLOWS_AT_MOST:
        raise SettingsError(
            name="events.tables",
            problem=f"the group {rule.group!r} has more tables than the {FLOWS_AT_MOST - 1} that "
            "one data collection rule can lead to beside the overflow",
            remedy="Ask the authors of the plugin to put its tables into several groups.",
        )
