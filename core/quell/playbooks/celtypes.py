"""The types of expressions: what an incident, an entity, a result is made of, and the enums.

Types of entities and results are read from the domain's and the actions' structs, so a field
added there can be used in playbooks without a line here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

import msgspec

__all__ = [
    "BOOL",
    "DYN",
    "FAULTY",
    "FLOAT",
    "INT",
    "NULL",
    "SPAN",
    "TEXT",
    "TIME",
    "EnumGroup",
    "EnumType",
    "ListType",
    "LiteralText",
    "MapType",
    "Plain",
    "StructType",
    "Type",
    "Unusable",
    "enum_of",
    "enums_in",
    "struct_fields",
]

#: structs in structs in results are followed this far, then anything goes
MAX_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Plain:
    """A type without parts."""

    name: str

    def __str__(self) -> str:
        return self.name


TEXT = Plain("text")
INT = Plain("a whole number")
FLOAT = Plain("a number")
BOOL = Plain("true or false")
TIME = Plain("a time")
SPAN = Plain("a duration")
NULL = Plain("null")
#: known only at run time
DYN = Plain("anything")
#: equal to `anything`, but not the same object: its mistake is told already
FAULTY = Plain("anything")


@dataclass(frozen=True, slots=True)
class LiteralText:
    """A text written in the expression: it may stand for a value of an enum."""

    value: str

    def __str__(self) -> str:
        return "text"


@dataclass(frozen=True, slots=True)
class EnumType:
    """A finite set of words; `is_ordered` ones compare in the order written."""

    name: str
    values: tuple[str, ...]
    is_ordered: bool = False

    def __str__(self) -> str:
        return f"a {self.name}"


@dataclass(frozen=True, slots=True)
class EnumGroup:
    """The name before the dot in `severity.high`; not a value by itself."""

    enum: EnumType

    def __str__(self) -> str:
        return f"the constants {self.enum.name}.…"


@dataclass(frozen=True, slots=True)
class ListType:
    """A list of items of one type; None for the empty list, which fits every list."""

    item: Type | None

    def __str__(self) -> str:
        return f"a list of {self.item}" if self.item is not None else "an empty list"


@dataclass(frozen=True, slots=True)
class MapType:
    """A map from text to one type."""

    value: Type

    def __str__(self) -> str:
        return f"a map of {self.value}"


@dataclass(frozen=True, slots=True)
class StructType:
    """Something with named fields. `kind` is set for entities, which can be targets."""

    name: str
    fields: Mapping[str, Type] = field(hash=False)
    #: an entity kind, `any`, or None for what is no entity
    kind: str | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def is_entity(self) -> bool:
        return self.kind is not None


@dataclass(frozen=True, slots=True)
class Unusable:
    """A name that exists but cannot be used here, and why."""

    reason: str

    def __str__(self) -> str:
        return "nothing usable here"


Type: TypeAlias = (
    Plain | LiteralText | EnumType | EnumGroup | ListType | MapType | StructType | Unusable
)

#: enums whose constants compare by order
ORDERED = frozenset({"severity", "verdict"})


def enum_of(kind: type[Enum], name: str | None = None) -> EnumType:
    """Make the type of a StrEnum; named after the class (`UserKind` is `user_kind`) unless told."""
    name = name or re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
    return EnumType(name, tuple(str(member.value) for member in kind), name in ORDERED)


#: names that expressions know enums by, where the class is called otherwise
ENUM_NAMES = {
    "EvidenceRole": "role",
    "EvidenceVerdict": "verdict",
    "EntityKind": "kind",
}


def struct_fields(kind: type[msgspec.Struct], depth: int = 0) -> dict[str, Type]:
    """Read the fields of a struct as types, by the names that its JSON has."""
    info = msgspec.inspect.type_info(kind)
    if not isinstance(info, msgspec.inspect.StructType):  # a Struct class always is one
        return {}
    return {part.encode_name: _type_of(part.type, depth) for part in info.fields}


def _type_of(info: msgspec.inspect.Type, depth: int) -> Type:
    match info:
        case msgspec.inspect.Metadata(type=inner):
            return _type_of(inner, depth)
        case msgspec.inspect.UnionType(types=types):
            return _union(types, depth)
        case msgspec.inspect.EnumType(cls=cls):
            return enum_of(cls, ENUM_NAMES.get(cls.__name__))
        case msgspec.inspect.LiteralType(values=values):
            return _literal(values)
        case msgspec.inspect.StructType(cls=cls):
            fields = struct_fields(cls, depth + 1) if depth < MAX_DEPTH else None
            return StructType(f"a {cls.__name__}", fields) if fields is not None else DYN
        case msgspec.inspect.DictType(value_type=value):
            return MapType(_item_type(value, depth))
        case msgspec.inspect.CollectionType(item_type=item):
            return ListType(_item_type(item, depth))
        case _:
            return PLAIN.get(type(info), DYN)


def _item_type(info: msgspec.inspect.Type, depth: int) -> Type:
    """Read the type inside a list or map: times stay text there, only fields are converted."""
    found = _type_of(info, depth + 1)
    return TEXT if found == TIME else found


PLAIN: Mapping[type, Type] = {
    msgspec.inspect.StrType: TEXT,
    msgspec.inspect.UUIDType: TEXT,
    msgspec.inspect.IntType: INT,
    msgspec.inspect.FloatType: FLOAT,
    msgspec.inspect.BoolType: BOOL,
    msgspec.inspect.DateTimeType: TIME,
}


def _union(types: tuple[msgspec.inspect.Type, ...], depth: int) -> Type:
    """Read `X | None` as X: what is absent is empty text, or a field that `has()` denies."""
    some = [part for part in types if not isinstance(part, msgspec.inspect.NoneType)]
    return _type_of(some[0], depth) if len(some) == 1 else DYN


def _literal(values: tuple[Any, ...]) -> Type:
    words = tuple(value for value in values if isinstance(value, str))
    return EnumType("choice", words) if len(words) == len(values) else DYN


def enums_in(types: Iterable[Type]) -> dict[str, EnumType]:
    """Find the named enums that these types use, by name, for their constants."""
    found: dict[str, EnumType] = {}
    for part in types:
        match part:
            case EnumType(name=name) if name != "choice":
                found[name] = part
            case ListType(item=item) if item is not None:
                found |= enums_in([item])
            case MapType(value=value):
                found |= enums_in([value])
            case StructType(fields=fields):
                found |= enums_in(fields.values())
            case _:
                pass
    return found
