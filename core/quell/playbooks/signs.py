"""How signs are typed: comparing, membership, order, arithmetic, conditions."""

from __future__ import annotations

import json
from collections.abc import Mapping

from quell.playbooks.celtypes import (
    BOOL,
    DYN,
    FAULTY,
    FLOAT,
    INT,
    SPAN,
    TEXT,
    TIME,
    EnumType,
    ListType,
    MapType,
    StructType,
    Type,
)
from quell.playbooks.join import join
from quell.playbooks.rules import Rules
from quell.playbooks.syntax import (
    Binary,
    Conditional,
    ListOf,
    Unary,
)

__all__ = ["SignRules"]

#: compared by order
ORDER_SIGNS = frozenset({"<", "<=", ">", ">="})
ADDABLE: Mapping[tuple[Type, Type], Type] = {
    (TIME, SPAN): TIME,
    (SPAN, TIME): TIME,
    (SPAN, SPAN): SPAN,
}
SUBTRACTABLE: Mapping[tuple[Type, Type], Type] = {
    (TIME, TIME): SPAN,
    (TIME, SPAN): TIME,
    (SPAN, SPAN): SPAN,
}


class SignRules(Rules):
    """The rules of unary and binary signs and of `? :`."""

    __slots__ = ()

    def unary(self, node: Unary) -> Type:
        found = self.value(node.operand)
        if node.sign == "!":
            self.expect(node.operand, found, BOOL)
            return BOOL
        if found not in (INT, FLOAT, DYN):
            return self.mistake(node.operand.start, f"`-` needs a number, found {found}")
        return found

    def binary(self, node: Binary) -> Type:
        left, right = self.value(node.left), self.value(node.right)
        if node.sign in ("&&", "||"):
            self.expect(node.left, left, BOOL)
            self.expect(node.right, right, BOOL)
            return BOOL
        if node.sign == "in":
            self.membership(node, left, right)
            return BOOL
        if node.sign in ("==", "!="):
            self.equality(node, left, right)
            return BOOL
        if node.sign in ORDER_SIGNS:
            self.order(node, left, right)
            return BOOL
        return self.arithmetic(node, left, right)

    def equality(self, node: Binary, left: Type, right: Type) -> None:
        joined = self.comparable(node.left, left, right, node.right)
        if isinstance(joined, ListType) and isinstance(joined.item, StructType):
            self.mistake(node.sign_start, "compare lists item by item, with all or exists")
        if isinstance(joined, StructType) and joined.is_entity:
            self.fields.add("id")
            for side in (node.left, node.right):
                self.splices.wrap(side.start, side.end, "(", ").id")

    def membership(self, node: Binary, left: Type, right: Type) -> None:
        if isinstance(node.right, ListOf):
            for item in node.right.items:
                # typed before, as part of the list: mistakes in the item itself are noted
                self.comparable(node.left, left, self.again(item), item)
        elif isinstance(right, ListType) and right.item is not None:
            self.comparable(node.left, left, right.item, node.right)
        elif isinstance(right, MapType):
            self.expect(node.left, left, TEXT)
        elif right != DYN and not isinstance(right, ListType):
            self.mistake(node.right.start, f"`in` needs a list after it, found {right}")
        if isinstance(left, StructType) and left.is_entity and isinstance(right, ListType):
            self.fields.add("id")
            self.splices.wrap(node.left.start, node.left.end, "(", ").id")
            self.splices.wrap(node.right.start, node.right.end, "(", ").map(_e, _e.id)")

    def order(self, node: Binary, left: Type, right: Type) -> None:
        joined = self.comparable(node.left, left, right, node.right)
        if isinstance(joined, EnumType):
            self.order_of(node, joined)
        elif isinstance(left, EnumType) or isinstance(right, EnumType):
            # what is known at run time only would be compared by spelling
            if joined is not None and left is not FAULTY and right is not FAULTY:
                self.mistake(node.sign_start, f"`{node.sign}` needs constants on both sides")
        elif joined is not None and joined not in (INT, FLOAT, TIME, SPAN, DYN):
            text = f"`{node.sign}` compares numbers, times and ordered constants, not {joined}"
            self.mistake(node.sign_start, text)

    def order_of(self, node: Binary, enum: EnumType) -> None:
        if not enum.is_ordered:
            self.mistake(node.sign_start, f"a {enum.name} has no order")
            return
        ranks = json.dumps({word: rank for rank, word in enumerate(enum.values)})
        for side in (node.left, node.right):
            self.splices.wrap(side.start, side.end, f"{ranks}[", "]")

    def arithmetic(self, node: Binary, left: Type, right: Type) -> Type:
        table = {"+": ADDABLE, "-": SUBTRACTABLE}.get(node.sign, {})
        special = table.get((left, right))
        if special is not None:
            return special
        if isinstance(left, EnumType) or isinstance(right, EnumType):
            return self.mistake(node.sign_start, "write string(…) around a constant to add it")
        joined = join(left, right)
        is_number = joined in (INT, FLOAT) and left == right
        is_joinable = node.sign == "+" and (joined == TEXT or isinstance(joined, ListType))
        if joined is not None and (is_number or is_joinable or joined == DYN):
            return joined
        return self.mistake(node.sign_start, f"`{node.sign}` does not fit {left} and {right}")

    def conditional(self, node: Conditional) -> Type:
        self.expect(node.condition, self.value(node.condition), BOOL)
        yes, no = self.value(node.yes), self.value(node.no)
        joined = join(yes, no)
        if joined is None:
            return self.mistake(node.no.start, f"{yes} before the colon, {no} after it")
        return joined
