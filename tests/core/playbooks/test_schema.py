"""playbook.schema.json agrees with the domain that it describes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from quell.domain.approval import Otherwise
from quell.domain.entity import Entity, EntityKind, EvidenceRole
from quell.domain.incident import Severity
from quell.domain.playbook import AfterCondition, IncidentEvent
from quell.playbooks import Catalogue, playbook_schema
from quell.playbooks.celtypes import EnumGroup
from quell.playbooks.scalars import DURATION_PATTERN, parse_duration, resolve_plain
from quell.playbooks.vocabulary import base_scope, entity_types, incident_type


def part(*path: str) -> Any:
    """Follow a path into the schema."""
    found: Any = playbook_schema()
    for name in path:
        found = found[name]
    return found


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(playbook_schema())


def test_finite_sets_are_the_domains_own() -> None:
    assert part("$defs", "event", "enum") == [str(event) for event in IncidentEvent]
    kinds = [str(kind) for kind in EntityKind if kind is not EntityKind.OTHER]
    assert part("$defs", "trigger", "properties", "once_per", "enum") == ["incident", *kinds]
    otherwise = part("$defs", "step", "properties", "ask", "properties", "otherwise", "enum")
    assert otherwise == [str(value) for value in Otherwise]
    for condition in AfterCondition:
        assert str(condition) in part("$defs", "edge", "pattern")


def test_durations_are_spelled_alike_in_schema_and_reader() -> None:
    assert part("$defs", "duration", "pattern") == DURATION_PATTERN
    assert parse_duration("90s") == parse_duration("90s")
    assert parse_duration("60m") == parse_duration("1h")
    assert parse_duration("24h") == parse_duration("1d")


@pytest.mark.parametrize("text", ["", "5", "m", "1.5h", "-1h", "1 h", "01m", "1H", "400d", "1h\n"])
def test_other_spellings_of_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_every_entity_and_every_field_of_it_can_be_named() -> None:
    types = entity_types()
    assert set(types) == set(EntityKind)
    for member in Entity.__args__:
        kind = EntityKind(str(member.__struct_config__.tag))
        names = {field.encode_name for field in msgspec.structs.fields(member)}
        assert names <= types[kind].fields.keys()


def test_every_kind_has_its_list_on_the_incident() -> None:
    lists = {str(kind) for kind in incident_type().fields.values()}
    assert {f"a list of a {kind}" for kind in EntityKind} <= lists


def test_enums_are_constants_in_the_domains_order(catalogue: Catalogue) -> None:
    # when
    scope = base_scope(catalogue)

    # then
    severity, role, user_kind = scope["severity"], scope["role"], scope["user_kind"]
    assert isinstance(severity, EnumGroup)
    assert severity.enum.values == tuple(str(value) for value in Severity)
    assert severity.enum.is_ordered
    assert isinstance(role, EnumGroup)
    assert role.enum.values == tuple(str(value) for value in EvidenceRole)
    assert isinstance(user_kind, EnumGroup)
    assert user_kind.enum.values == ("person", "service")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("012", 12),
        ("0o14", 12),
        ("0xC", 12),
        ("-3", -3),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("2026-01-01", "2026-01-01"),
        ("true", True),
        ("True", True),
        ("tRue", "tRue"),
        ("~", None),
        ("", None),
        ("null", None),
        ("15m", "15m"),
    ],
)
def test_a_plain_word_is_what_yaml_1_2_says(text: str, value: object) -> None:
    found = resolve_plain(text)
    assert found == value
    assert type(found) is type(value)
