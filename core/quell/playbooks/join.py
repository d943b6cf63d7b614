"""When two types can stand for each other, and what both of them are then."""

from __future__ import annotations

from quell.playbooks.celtypes import (
    DYN,
    FLOAT,
    INT,
    TEXT,
    EnumType,
    ListType,
    LiteralText,
    MapType,
    StructType,
    Type,
)

__all__ = ["join"]


def join(left: Type, right: Type) -> Type | None:
    """Give the type that covers both, or None where there is none."""
    if left == right:
        return TEXT if isinstance(left, LiteralText) else left
    if DYN in (left, right):
        return DYN
    match left, right:
        case (LiteralText(), LiteralText()):
            return TEXT
        case (LiteralText(value=word), EnumType() as enum) | (
            EnumType() as enum,
            LiteralText(value=word),
        ):
            return enum if word in enum.values else None
        case (LiteralText(), other) | (other, LiteralText()) if other == TEXT:
            return TEXT
        case (ListType(item=one), ListType(item=other)):
            return _join_lists(one, other)
        case (MapType(value=one), MapType(value=other)):
            value = join(one, other)
            return MapType(value) if value is not None else None
        case (StructType(), StructType()):
            return _join_structs(left, right)
        case _:
            return FLOAT if {left, right} == {INT, FLOAT} else None


def _join_lists(one: Type | None, other: Type | None) -> Type | None:
    if one is None or other is None:
        return ListType(one if other is None else other)
    item = join(one, other)
    return ListType(item) if item is not None else None


def _join_structs(left: StructType, right: StructType) -> Type | None:
    """Entities of one kind go together; of two kinds they are entities of any kind."""
    if not (left.is_entity and right.is_entity):
        return None
    fields = {
        name: kind
        for name, kind in left.fields.items()
        if name in right.fields and join(kind, right.fields[name]) == kind
    }
    if left.kind == right.kind:
        return StructType(left.name, fields, left.kind)
    return StructType("an entity", fields, "any")
