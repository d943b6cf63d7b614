"""Writes definitions of tables and rules for deployment, as a template and as Bicep.

https://learn.microsoft.com/azure/templates/microsoft.operationalinsights/workspaces/tables
https://learn.microsoft.com/azure/templates/microsoft.insights/datacollectionrules

Both forms are written from the same values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from quell import ColumnType
from quell_microsoft.lenient import items
from quell_sentinel.tables import Definitions, RuleDefinition, TableDefinition

__all__ = ["as_bicep", "as_json"]

TABLES_VERSION = "2022-10-01"
RULES_VERSION = "2023-03-11"
TEMPLATE = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
#: types that a rule's stream knows are those of columns; a table's schema says it a little otherwise
TABLE_TYPES: Mapping[ColumnType, str] = {ColumnType.DATETIME: "dateTime"}
#: a row whose own time cannot be read is filed under the time that it came
TRANSFORM = "source | extend TimeGenerated = iff(isnull(TimeGenerated), now(), TimeGenerated)"
DESTINATION = "workspace"
PARAMETERS: Mapping[str, str] = {
    "workspaceName": "Name of the Log Analytics workspace",
    "location": "Region of the workspace",
}


class Expression(msgspec.Struct, frozen=True):
    """Something that is worked out at deployment, in the words of both forms."""

    template: str
    bicep: str


WORKSPACE_ID = Expression(
    "[resourceId('Microsoft.OperationalInsights/workspaces', parameters('workspaceName'))]",
    "workspace.id",
)
LOCATION = Expression("[parameters('location')]", "location")


def _table_properties(table: TableDefinition) -> dict[str, Any]:
    return {
        "plan": "Analytics",
        "schema": {
            "name": table.name,
            "description": table.summary,
            "columns": [
                {"name": name, "type": TABLE_TYPES.get(kind, kind.value)}
                for name, kind in table.columns.items()
            ],
        },
    }


def _rule_properties(rule: RuleDefinition) -> dict[str, Any]:
    return {
        "description": f"Events of the group {rule.group}, sent by quell.",
        "streamDeclarations": {
            stream: {
                "columns": [
                    {"name": name, "type": kind.value} for name, kind in table.columns.items()
                ]
            }
            for stream, table in rule.streams.items()
        },
        "destinations": {
            "logAnalytics": [{"name": DESTINATION, "workspaceResourceId": WORKSPACE_ID}]
        },
        "dataFlows": [
            {
                "streams": [stream],
                "destinations": [DESTINATION],
                "transformKql": TRANSFORM,
                "outputStream": f"Custom-{table.name}",
            }
            for stream, table in rule.streams.items()
        ],
    }


# -- as a template -------------------------------------------------------------------------------


def as_json(definitions: Definitions) -> str:
    """Write an Azure Resource Manager template."""
    template = {
        "$schema": TEMPLATE,
        "contentVersion": "1.0.0.0",
        "parameters": {
            "workspaceName": _parameter("workspaceName"),
            "location": {
                **_parameter("location"),
                "defaultValue": "[resourceGroup().location]",
            },
        },
        "resources": [
            *map(_table_resource, definitions.tables),
            *map(_rule_resource, definitions.rules),
        ],
        "outputs": {
            _symbol("settings", rule.group): {"type": "object", "value": _output(rule)}
            for rule in definitions.rules
        },
    }
    return msgspec.json.format(msgspec.json.encode(_resolved(template))).decode() + "\n"


def _parameter(name: str) -> dict[str, Any]:
    return {"type": "string", "metadata": {"description": PARAMETERS[name]}}


def _table_resource(table: TableDefinition) -> dict[str, Any]:
    return {
        "type": "Microsoft.OperationalInsights/workspaces/tables",
        "apiVersion": TABLES_VERSION,
        "name": f"[format('{{0}}/{{1}}', parameters('workspaceName'), '{table.name}')]",
        "properties": _table_properties(table),
    }


def _rule_resource(rule: RuleDefinition) -> dict[str, Any]:
    return {
        "type": "Microsoft.Insights/dataCollectionRules",
        "apiVersion": RULES_VERSION,
        "name": rule.name,
        "kind": "Direct",
        "location": LOCATION,
        "dependsOn": [
            "[resourceId('Microsoft.OperationalInsights/workspaces/tables', "
            f"parameters('workspaceName'), '{table.name}')]"
            for table in rule.streams.values()
        ],
        "properties": _rule_properties(rule),
    }


def _output(rule: RuleDefinition) -> dict[str, str]:
    """Give what the settings need to know of a rule."""
    made = (
        f"reference(resourceId('Microsoft.Insights/dataCollectionRules', '{rule.name}'), "
        f"'{RULES_VERSION}')"
    )
    return {
        "group": rule.group,
        "id": f"[{made}.immutableId]",
        "endpoint": f"[{made}.endpoints.logsIngestion]",
    }


def _resolved(value: Any) -> Any:
    """Put a template's words in the place of expressions."""
    if isinstance(value, Expression):
        return value.template
    if isinstance(value, dict):
        parts = cast("dict[str, Any]", value)
        return {name: _resolved(inner) for name, inner in parts.items()}
    if isinstance(value, list):
        return [_resolved(inner) for inner in items(value)]
    return value


# -- as Bicep ------------------------------------------------------------------------------------


def as_bicep(definitions: Definitions) -> str:
    """Write a Bicep file."""
    return "\n".join(_bicep_parts(definitions)) + "\n"


def _bicep_parts(definitions: Definitions) -> Iterable[str]:
    yield f"@description({_quoted(PARAMETERS['workspaceName'])})\nparam workspaceName string\n"
    yield (
        f"@description({_quoted(PARAMETERS['location'])})\n"
        "param location string = resourceGroup().location\n"
    )
    yield (
        "resource workspace 'Microsoft.OperationalInsights/workspaces@"
        f"{TABLES_VERSION}' existing = {{\n  name: workspaceName\n}}\n"
    )
    for table in definitions.tables:
        yield _bicep_table(table)
    for rule in definitions.rules:
        yield _bicep_rule(rule)
    for rule in definitions.rules:
        symbol = _symbol("rule", rule.group)
        made = {
            "group": rule.group,
            "id": Expression("", f"{symbol}.properties.immutableId"),
            "endpoint": Expression("", f"{symbol}.properties.endpoints.logsIngestion"),
        }
        yield f"output {_symbol('settings', rule.group)} object = {_bicep(made)}\n"


def _bicep_table(table: TableDefinition) -> str:
    body = {
        "parent": Expression("", "workspace"),
        "name": table.name,
        "properties": _table_properties(table),
    }
    kind = f"'Microsoft.OperationalInsights/workspaces/tables@{TABLES_VERSION}'"
    return f"resource {_symbol('table', table.name)} {kind} = {_bicep(body)}\n"


def _bicep_rule(rule: RuleDefinition) -> str:
    body = {
        "name": rule.name,
        "location": LOCATION,
        "kind": "Direct",
        "properties": _rule_properties(rule),
        "dependsOn": [
            Expression("", _symbol("table", table.name)) for table in rule.streams.values()
        ],
    }
    kind = f"'Microsoft.Insights/dataCollectionRules@{RULES_VERSION}'"
    return f"resource {_symbol('rule', rule.group)} {kind} = {_bicep(body)}\n"


def _symbol(kind: str, name: str) -> str:
    return f"{kind}_{re.sub(r'[^A-Za-z0-9_]', '_', name)}"


def _bicep(value: Any, depth: int = 1) -> str:
    """Write a value in Bicep's own notation."""
    inside, outside = "  " * depth, "  " * (depth - 1)
    if isinstance(value, Expression):
        return value.bicep
    if isinstance(value, dict):
        parts = cast("dict[str, Any]", value)
        lines = [f"{inside}{_key(key)}: {_bicep(inner, depth + 1)}" for key, inner in parts.items()]
        return "{\n" + "\n".join(lines) + f"\n{outside}}}"
    if isinstance(value, list):
        lines = [f"{inside}{_bicep(inner, depth + 1)}" for inner in items(value)]
        return "[\n" + "\n".join(lines) + f"\n{outside}]"
    return _quoted(str(value))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else _quoted(name)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
    return f"'{escaped}'"
