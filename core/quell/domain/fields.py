"""Every field that the queues share, in one table: what it is, how it is decided, where it is kept.

Sync takes from here which fields it decides between copies; each source adds, by the same names,
how its product spells a field and what it cannot hold. The page on fields is made of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

__all__ = ["FIELD_TABLE", "SHARED", "FieldKind", "FieldRule", "FieldSpec", "writable"]


class FieldKind(StrEnum):
    """How a field's value comes about."""

    #: one value, which every copy shall have; where two sides change it at once, policy decides
    VALUE = "value"
    #: a set: what any side adds or removes is added or removed on all
    SET = "set"
    #: follows from the alerts; told to our own copies, and never decided between copies
    DERIVED = "derived"
    #: things with a life of their own, copied one by one
    LIST = "list"
    #: belongs to one copy alone and is only shown
    IDENTITY = "identity"


class FieldSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One shared field."""

    name: str
    kind: FieldKind
    meaning: str


class FieldRule(msgspec.Struct, frozen=True, kw_only=True):
    """How one product holds a field."""

    #: the product's own name of it
    native: str
    is_read: bool = True
    is_written: bool = False
    #: how values correspond, in a sentence; empty where they are the same
    mapping: str = ""
    #: what is lost there, in a sentence; empty for nothing
    cannot_hold: str = ""


def _field(name: str, kind: FieldKind, meaning: str) -> FieldSpec:
    return FieldSpec(name=name, kind=kind, meaning=meaning)


FIELD_TABLE: tuple[FieldSpec, ...] = (
    _field("title", FieldKind.VALUE, "What the incident is called."),
    _field("description", FieldKind.VALUE, "What it is about."),
    _field("severity", FieldKind.VALUE, "How bad it is."),
    _field("status", FieldKind.VALUE, "Where the work on it stands."),
    _field("owner", FieldKind.VALUE, "Who works on it."),
    _field("verdict", FieldKind.VALUE, "Classification and determination, decided together."),
    _field("closing_comment", FieldKind.VALUE, "Why it was closed."),
    _field("tags", FieldKind.SET, "Words that people put on it."),
    _field("first_activity", FieldKind.DERIVED, "The earliest thing that its alerts tell of."),
    _field("last_activity", FieldKind.DERIVED, "The latest thing that its alerts tell of."),
    _field("tactics", FieldKind.DERIVED, "MITRE ATT&CK tactics of its alerts."),
    _field("products", FieldKind.DERIVED, "Products that raised its alerts."),
    _field("alerts", FieldKind.LIST, "Detections, with their evidence."),
    _field("comments", FieldKind.LIST, "What people and playbooks said."),
    _field("tasks", FieldKind.LIST, "What is to be done."),
    _field("number", FieldKind.IDENTITY, "What people call the copy by."),
    _field("url", FieldKind.IDENTITY, "The copy's page."),
)
#: the fields that are decided between copies, in the order in which they are shown
SHARED: tuple[str, ...] = tuple(
    one.name for one in FIELD_TABLE if one.kind in {FieldKind.VALUE, FieldKind.SET}
)


def writable(rules: Mapping[str, FieldRule]) -> frozenset[str]:
    """Name the fields that a product's rules let be written as values of an incident."""
    values = {FieldKind.VALUE, FieldKind.SET, FieldKind.DERIVED}
    return frozenset(
        one.name
        for one in FIELD_TABLE
        if one.kind in values and one.name in rules and rules[one.name].is_written
    )
