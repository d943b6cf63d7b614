"""The type of an expression, and everything about it that cannot be meant.

Stricter than CEL: fields of list items are known, a text compared with an enum must be one
of its words, and values of different types are not compared at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from quell.playbooks.calls import CallRules
from quell.playbooks.celtypes import (
    BOOL,
    DYN,
    FLOAT,
    INT,
    TEXT,
    TIME,
    EnumGroup,
    EnumType,
    ListType,
    LiteralText,
    MapType,
    StructType,
    Type,
    Unusable,
)
from quell.playbooks.join import join
from quell.playbooks.signs import SignRules
from quell.playbooks.source import one_of, quote, suggest
from quell.playbooks.syntax import (
    Binary,
    Call,
    Conditional,
    Index,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Select,
    Unary,
    parse,
)
from quell.playbooks.tokens import ExpressionMistake

__all__ = ["Checked", "check_expression"]


@dataclass(slots=True)
class Checked:
    """What checking an expression found."""

    type: Type
    #: for the library
    text: str
    #: names of the scope that it uses, with their types
    roots: Mapping[str, Type]
    #: names of fields that it looks at
    fields: frozenset[str]
    mistakes: list[ExpressionMistake]


def check_expression(text: str, scope: Mapping[str, Type]) -> Checked:
    """Parse and type an expression; mistakes are listed, and its type is then `anything`."""
    try:
        node = parse(text)
    except ExpressionMistake as mistake:
        return Checked(DYN, text, {}, frozenset(), [mistake])
    typing = _Typing(scope)
    found = typing.value(node)
    return Checked(
        DYN if typing.mistakes else found,
        typing.splices.apply(text),
        {name: scope[name] for name in sorted(typing.roots)},
        frozenset(typing.fields),
        typing.mistakes,
    )


class _Typing(SignRules, CallRules):
    """Walks one expression."""

    __slots__ = ()

    def any(self, node: Node) -> Type:
        match node:
            case Literal():
                return self.literal(node)
            case Name():
                return self.name(node)
            case Select():
                return self.select(node)
            case Index():
                return self.index(node)
            case Call():
                return self.call(node)
            case ListOf():
                return self.list_of(node)
            case MapOf():
                return self.map_of(node)
            case Unary():
                return self.unary(node)
            case Binary():
                return self.binary(node)
            case Conditional():
                return self.conditional(node)

    # -- names and fields ------------------------------------------------------------------

    def literal(self, node: Literal) -> Type:
        match node.value:
            case bool():
                return BOOL
            case str():
                return LiteralText(node.value)
            case int():
                return INT
            case float():
                return FLOAT
            case None:
                return self.mistake(node.start, "nothing is null here; ask has(thing.field)")

    def name(self, node: Name) -> Type:
        if node.name in self.local:
            return self.local[node.name]
        if node.name not in self.scope:
            near = suggest(node.name, self.scope)
            known = "" if near else f"; known here: {one_of(sorted(self.scope))}"
            return self.mistake(node.start, f"unknown name {quote(node.name)}{near}{known}")
        found = self.scope[node.name]
        if not isinstance(found, EnumGroup):
            self.roots.add(node.name)
        return found

    def select(self, node: Select) -> Type:
        found = self.field_type(node)
        if found == TIME:
            self.splices.wrap(node.start, node.end, "timestamp(", ")")
        return found

    def field_type(self, node: Select) -> Type:
        operand = self.any(node.operand)
        match operand:
            case EnumGroup(enum=enum):
                return self.constant(node, enum)
            case StructType():
                return self.struct_field(node, operand)
            case MapType(value=value):
                self.fields.add(node.field)
                return value
            case Unusable(reason=reason):
                return self.mistake(node.operand.start, reason)
            case ListType():
                text = f"{operand} has no fields; use filter, map, exists or all on it"
                return self.mistake(node.field_start, text)
            case _ if operand == DYN:
                self.fields.add(node.field)
                return DYN
            case _:
                return self.mistake(node.field_start, f"{operand} has no fields")

    def constant(self, node: Select, enum: EnumType) -> Type:
        if node.field not in enum.values:
            near = suggest(node.field, enum.values)
            known = "" if near else f"; there are {one_of(enum.values)}"
            text = f"{quote(node.field)} is not a {enum.name}{near}{known}"
            return self.mistake(node.field_start, text)
        self.splices.replace(node.start, node.end, json.dumps(node.field))
        return enum

    def struct_field(self, node: Select, struct: StructType) -> Type:
        if node.field not in struct.fields:
            near = suggest(node.field, struct.fields)
            known = "" if near else f"; there are {one_of(sorted(struct.fields))}"
            text = f"{struct} has no field {quote(node.field)}{near}{known}"
            return self.mistake(node.field_start, text)
        self.fields.add(node.field)
        return struct.fields[node.field]

    def index(self, node: Index) -> Type:
        operand, index = self.value(node.operand), self.value(node.index)
        match operand:
            case ListType(item=item):
                self.expect(node.index, index, INT)
                return item if item is not None else DYN
            case MapType(value=value):
                self.expect(node.index, index, TEXT)
                if isinstance(node.index, Literal):
                    self.fields.add(str(node.index.value))
                return value
            case _ if operand == DYN:
                return DYN
            case _:
                return self.mistake(node.start, f"{operand} has no items")

    # -- lists and maps written out --------------------------------------------------------

    def list_of(self, node: ListOf) -> Type:
        item: Type | None = None
        for part in node.items:
            found = self.value(part)
            joined = found if item is None else join(item, found)
            if joined is None and item is not None:
                joined = self.comparable(part, item, found, part) or DYN
            item = joined
        return ListType(TEXT if isinstance(item, LiteralText) else item)

    def map_of(self, node: MapOf) -> Type:
        for key, value in node.entries:
            self.expect(key, self.value(key), TEXT)
            self.value(value)
        return MapType(DYN)
