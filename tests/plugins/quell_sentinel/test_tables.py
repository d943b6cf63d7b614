"""Tables and rules as they are deployed: both forms say the same, inside what Azure allows."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import quell_sentinel
from quell import ColumnType, EventTable, RowOrigin
from quell.domain.ids import SourceId
from quell.errors import SettingsError
from quell.testing import PluginContext
from quell_defender.events import event_tables
from quell_microsoft import IngestionClient, MicrosoftSettings
from quell_sentinel.columns import (
    MOST_BYTES,
    MOST_UNITS,
    NAME_LIMIT,
    RESERVED,
    STANDARD,
    Misfit,
    column_names,
    cut,
    fitted,
    stream_columns,
)
from quell_sentinel.commands import sentinel
from quell_sentinel.ingestion import WorkspaceSink
from quell_sentinel.settings import Workspace
from quell_sentinel.tables import FLOWS_AT_MOST, define
from quell_sentinel.templates import as_bicep, as_json

#: what a column of a custom table may be called
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,44}")
TABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,58}_CL")
NOT_OURS = RESERVED - {name.casefold() for name in STANDARD}


def template() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(as_json(define(event_tables(), "Quell")))
    return found


def resources(kind: str) -> list[dict[str, Any]]:
    return [one for one in template()["resources"] if one["type"].endswith(kind)]


def test_every_table_is_defined_once_and_one_for_overflow() -> None:
    names = [one["properties"]["schema"]["name"] for one in resources("/tables")]

    assert len(set(names)) == len(names) == len(event_tables()) + 1
    assert all(TABLE.fullmatch(name) for name in names)
    assert "QuellOverflow_CL" in names


@pytest.mark.parametrize("table", event_tables(), ids=lambda table: table.name)
def test_every_column_has_a_name_that_a_workspace_allows(table: EventTable) -> None:
    # when
    columns = stream_columns(table)

    # then
    assert all(NAME.fullmatch(name) for name in columns)
    assert not {name.casefold() for name in columns} & NOT_OURS
    assert len({name.casefold() for name in columns}) == len(columns)
    assert len(columns) == len(table.columns) + len(STANDARD)
    assert table.time in table.columns
    assert table.columns[table.time] is ColumnType.DATETIME


def test_every_stream_of_a_rule_is_declared_leads_to_its_table_and_fits_into_the_rule() -> None:
    tables = {one["properties"]["schema"]["name"]: one for one in resources("/tables")}
    reached: set[str] = set()
    for rule in resources("/dataCollectionRules"):
        properties = rule["properties"]
        assert rule["kind"] == "Direct"
        assert len(properties["dataFlows"]) <= FLOWS_AT_MOST
        assert [flow["streams"] for flow in properties["dataFlows"]] == [
            [stream] for stream in properties["streamDeclarations"]
        ]
        for flow in properties["dataFlows"]:
            (stream,) = flow["streams"]
            table = flow["outputStream"].removeprefix("Custom-")
            reached.add(table)
            assert flow["destinations"] == [
                one["name"] for one in properties["destinations"]["logAnalytics"]
            ]
            declared = properties["streamDeclarations"][stream]["columns"]
            made = tables[table]["properties"]["schema"]["columns"]
            assert [(one["name"], one["type"].casefold()) for one in declared] == [
                (one["name"], one["type"].casefold()) for one in made
            ]
            assert f"'{table}')]" in "".join(rule["dependsOn"])
    assert reached == set(tables)


def test_the_template_tells_what_the_settings_need() -> None:
    outputs = template()["outputs"]

    assert sorted(one["value"]["group"] for one in outputs.values()) == sorted(
        {table.group for table in event_tables()}
    )
    assert all("immutableId" in one["value"]["id"] for one in outputs.values())
    assert all("logsIngestion" in one["value"]["endpoint"] for one in outputs.values())


def test_bicep_says_the_same_as_the_template() -> None:
    # given
    bicep = as_bicep(define(event_tables(), "Quell"))

    # then
    for one in resources("/tables"):
        schema = one["properties"]["schema"]
        (block,) = [
            part for part in bicep.split("\nresource ") if f"\n  name: '{schema['name']}'" in part
        ]
        columns = re.findall(r"name: '(\w+)'\n +type: '(\w+)'", block)
        assert columns == [(column["name"], column["type"]) for column in schema["columns"]]
    for one in resources("/dataCollectionRules"):
        (block,) = [
            part for part in bicep.split("\nresource ") if f"\n  name: '{one['name']}'" in part
        ]
        for stream in one["properties"]["streamDeclarations"]:
            assert f"'{stream}': {{" in block
            assert f"'{stream}'\n" in block
    for opened, closed in ("{}", "[]", "()"):
        assert bicep.count(opened) == bicep.count(closed)
    assert bicep.count("'") % 2 == 0


def test_a_quote_in_a_summary_ends_no_text_of_bicep() -> None:
    # given
    table = EventTable(
        name="T", summary="it's ${x}", columns={"at": ColumnType.DATETIME}, time="at"
    )

    # when
    bicep = as_bicep(define([table], "P"))

    # then
    assert r"description: 'it\'s \${x}'" in bicep


def test_a_group_with_too_many_tables_is_refused() -> None:
    # given
    tables = [
        EventTable(name=f"T{n}", summary="", columns={"at": ColumnType.DATETIME}, time="at")
        for n in range(FLOWS_AT_MOST)
    ]

    # then
    assert len(define(tables[1:], "P").rules) == 1
    with pytest.raises(SettingsError, match="more tables"):
        define(tables, "P")


@given(names=st.lists(st.text(max_size=80), max_size=8, unique=True))
def test_whatever_columns_are_called_their_names_are_allowed_and_apart(names: list[str]) -> None:
    # when
    given_names = column_names(names)

    # then
    assert list(given_names) == names
    assert all(NAME.fullmatch(name) for name in given_names.values())
    assert not {name.casefold() for name in given_names.values()} & RESERVED
    assert len({name.casefold() for name in given_names.values()}) == len(names)
    assert column_names(names) == given_names


def test_a_long_name_is_shortened_and_stays_recognisable() -> None:
    (name,) = column_names(["Initiating" * 6]).values()

    assert len(name) == NAME_LIMIT
    assert name.startswith("InitiatingInitiating")


@given(
    text=st.text(alphabet=st.sampled_from("aü€𝔘\n"), min_size=0, max_size=40), times=st.just(4000)
)
def test_the_parts_of_a_text_are_the_text_and_each_fits(text: str, times: int) -> None:
    # when
    parts = cut(text * times)

    # then
    assert "".join(parts) == text * times
    assert all(len(part.encode()) <= MOST_BYTES for part in parts)
    assert all(len(part.encode("utf-16-le")) // 2 <= MOST_UNITS for part in parts)


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        (ColumnType.STRING, True, "true"),
        (ColumnType.STRING, ["a"], '["a"]'),
        (ColumnType.STRING, "\udc00x", "\ufffdx"),
        (ColumnType.INT, "12", 12),
        (ColumnType.INT, 3.0, 3),
        (ColumnType.LONG, 2**63 - 1, 2**63 - 1),
        (ColumnType.REAL, 2, 2.0),
        (ColumnType.BOOLEAN, 1, True),
        (ColumnType.BOOLEAN, "False", False),
        (ColumnType.DATETIME, "2026-01-02T03:04:05.1234567Z", "2026-01-02T03:04:05.1234567Z"),
        (ColumnType.DYNAMIC, '{"a": [1]}', {"a": [1]}),
        (ColumnType.DYNAMIC, "{not json", "{not json"),
        (ColumnType.DYNAMIC, "[" * 5000, "[" * 5000),
    ],
)
def test_a_value_is_written_as_its_columns_type(kind: ColumnType, value: Any, wanted: Any) -> None:
    found = fitted(kind, value)

    assert (found, type(found)) == (wanted, type(wanted))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ColumnType.INT, 2**31),
        (ColumnType.INT, "many"),
        (ColumnType.LONG, 2**63),
        (ColumnType.LONG, True),
        (ColumnType.REAL, "1.5"),
        (ColumnType.BOOLEAN, 2),
        (ColumnType.BOOLEAN, [1]),
        (ColumnType.DATETIME, "yesterday"),
        (ColumnType.DATETIME, 5),
    ],
)
def test_a_value_of_another_type_is_told_apart(kind: ColumnType, value: Any) -> None:
    with pytest.raises(Misfit):
        fitted(kind, value)


# -- the command -----------------------------------------------------------------------------------


class Catalogue:
    """What quell gives to a plugin's command."""

    def event_tables(self) -> Sequence[EventTable]:
        """List the tables."""
        return event_tables()


def run(*arguments: str) -> Any:
    return CliRunner().invoke(sentinel, arguments, obj=Catalogue())


def test_the_command_writes_all_tables_or_those_that_are_named() -> None:
    # when
    whole, some = run("tables", "--format", "json"), run("tables", "--table", "Email*")

    # then
    assert json.loads(whole.output) == template()
    made = re.findall(r"^resource table_(\w+)", some.output, re.MULTILINE)
    assert made == [
        "QuellEmailEvents_CL",
        "QuellEmailAttachmentInfo_CL",
        "QuellEmailPostDeliveryEvents_CL",
        "QuellEmailUrlInfo_CL",
        "QuellOverflow_CL",
    ]


@pytest.mark.parametrize("form", ["json", "bicep"])
def test_the_command_writes_into_a_folder(form: str, tmp_path: Path) -> None:
    # when
    shown = run("tables", "--format", form, "--out", str(tmp_path / "new"), "--prefix", "Soc")

    # then
    path = tmp_path / "new" / f"quell-tables.{form}"
    assert shown.output == f"wrote {path}\n"
    assert "SocAlerts_CL" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--table", "Martians"), "quell events tables"),
        (("--prefix", "1st"), "table_prefix"),
        (("--prefix", "x" * 21), "table_prefix"),
    ],
)
def test_the_command_refuses_what_cannot_be_made(arguments: tuple[str, str], says: str) -> None:
    shown = run("tables", *arguments)

    assert shown.exit_code == 2
    assert says in shown.output


def test_the_list_for_help_is_what_the_plugin_offers() -> None:
    listed = tomllib.loads(
        (Path(quell_sentinel.__file__).parent / "commands.toml").read_text(encoding="utf-8")
    )

    offered: dict[str, click.Command] = {
        str(command.name): command for command in quell_sentinel.quell_commands()
    }
    assert listed == {
        name: command.get_short_help_str(limit=200) for name, command in offered.items()
    }


# -- rows ------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=10,
)
WORKSPACE = Workspace(
    subscription_id="6f1d1b46-7ab0-4c0a-9d2f-0b3d6d0f7c11", resource_group="rg", workspace="ws"
)
#: it is never sent with
UNUSED = IngestionClient.build(
    PluginContext(
        identity="sync",
        sections=(
            msgspec.convert(
                {
                    "tenant_id": "6f1d1b46-7ab0-4c0a-9d2f-0b3d6d0f7c11",
                    "identities": {"sync": {"client_id": "x", "managed_identity": True}},
                },
                MicrosoftSettings,
            ),
        ),
    )
)
TABLES = {table.name: table for table in event_tables()}
#: columns of every type, and some that no table has
NAMES = st.sampled_from(
    ["Timestamp", "DeviceId", "FileSize", "AdditionalFields", "IsLocalAdmin", "RemotePort", "New"]
)


@given(row=st.dictionaries(NAMES, JSON, max_size=7))
def test_whatever_a_row_holds_it_is_shaped_and_each_value_is_of_its_columns_type(
    row: dict[str, Any],
) -> None:
    # given
    table = TABLES["DeviceLogonEvents"]
    origin = RowOrigin(tenant_id="t", source_id=SourceId("s"), table=table, key="0" * 32)
    sink = WorkspaceSink(UNUSED, WORKSPACE, "Quell")

    # when
    (shaped,) = sink.shape(origin, row)

    # then
    columns = stream_columns(table)
    assert set(shaped.body) <= set(columns)
    assert all(fitted(columns[name], value) == value for name, value in shaped.body.items())
    assert msgspec.json.decode(msgspec.json.encode(shaped.body)) == shaped.body
    said = {name for name, value in row.items() if value is not None}
    assert said == {*shaped.body, *shaped.body.get("MoreColumns", {})} & set(row)
