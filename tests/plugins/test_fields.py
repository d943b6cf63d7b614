"""The table of fields: what it says is written is what the products take, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from quell.domain.fields import FIELD_TABLE, FieldKind, FieldRule
from quell.domain.incident import IncidentFields, Severity, Status
from quell.errors import RequestRefused
from quell_defender import DefenderIncidents
from quell_defender import fields as defender_fields
from quell_defender import mapping as defender
from quell_defender.patch import patch_body
from quell_sentinel import SentinelIncidents
from quell_sentinel import fields as sentinel_fields
from quell_sentinel import mapping as sentinel
from quell_sentinel.bodies import changed_body

NAMES = [one.name for one in FIELD_TABLE]
FIELDS = IncidentFields(title="t", severity=Severity.HIGH, status=Status.ACTIVE)
TABLES: list[Mapping[str, FieldRule]] = [defender_fields.FIELDS, sentinel_fields.FIELDS]


def is_value(name: str) -> bool:
    (spec,) = [one for one in FIELD_TABLE if one.name == name]
    return spec.kind in {FieldKind.VALUE, FieldKind.SET, FieldKind.DERIVED}


@pytest.mark.parametrize("table", TABLES)
def test_every_rule_is_about_a_field_of_the_table(table: Mapping[str, FieldRule]) -> None:
    assert set(table) <= set(NAMES)
    assert all(rule.native and (rule.is_read or rule.is_written) for rule in table.values())


@pytest.mark.parametrize("name", NAMES)
def test_defender_takes_exactly_the_values_that_its_table_says_are_written(name: str) -> None:
    rule = defender_fields.FIELDS.get(name)
    if rule is not None and rule.is_written and is_value(name):
        raw = defender.project(name, FIELDS, {name: object()})
        assert patch_body("PATCH", {name: raw}).keys() == set(rule.native.split(", "))
    else:
        with pytest.raises(RequestRefused):
            patch_body("PATCH", {name: "x"})


@pytest.mark.parametrize("name", NAMES)
def test_sentinel_takes_exactly_the_values_that_its_table_says_are_written(name: str) -> None:
    rule = sentinel_fields.FIELDS.get(name)
    if rule is not None and rule.is_written and is_value(name):
        raw: Any = sentinel.project(name, FIELDS, {name: object()})
        body = changed_body("PUT", {}, "e", {name: raw})
        assert body["properties"].keys() == set(rule.native.split(", "))
    else:
        with pytest.raises(RequestRefused):
            changed_body("PUT", {}, "e", {name: "x"})


def test_sources_say_what_their_tables_say() -> None:
    for source, table in (
        (DefenderIncidents, defender_fields.FIELDS),
        (SentinelIncidents, sentinel_fields.FIELDS),
    ):
        assert source.fields == table
        assert source.writable == {
            name for name, rule in table.items() if rule.is_written and is_value(name)
        }
        assert source.carried <= set(table)
        assert (source.tasks_at_most > 0) == ("tasks" in table)


def test_what_is_read_of_a_field_is_read_of_the_property_that_the_table_names() -> None:
    # given: each property says its own name
    for name, rule in defender_fields.FIELDS.items():
        if is_value(name) and name != "verdict" and "alerts" not in rule.native:
            assert defender.native_of({rule.native: rule.native})[name] == rule.native
    for name, rule in sentinel_fields.FIELDS.items():
        if is_value(name) and name != "verdict":
            outer, _, inner = rule.native.partition(".")
            raw = {outer: {inner: rule.native} if inner else rule.native}
            assert sentinel.native_of(raw)[name] == rule.native
