"""How calls are typed: functions, methods of text and lists, and macros over lists."""

from __future__ import annotations

import re

from quell.playbooks.celtypes import (
    BOOL,
    DYN,
    INT,
    TEXT,
    TIME,
    EnumType,
    ListType,
    LiteralText,
    StructType,
    Type,
)
from quell.playbooks.functions import FUNCTIONS, GROUP_NAMES, MACROS, METHODS, Signature, accepts
from quell.playbooks.rules import Rules
from quell.playbooks.source import quote, suggest
from quell.playbooks.syntax import (
    Call,
    Name,
    Node,
    Select,
)

__all__ = ["CallRules"]

LOCAL_NAME = re.compile(r"[a-z][a-z0-9_]*")


class CallRules(Rules):
    """The rules of `has`, functions, methods and macros."""

    __slots__ = ()

    def field_type(self, node: Select) -> Type:
        """Give the type of a field as it is in the data; the whole checker knows how."""
        raise NotImplementedError

    def call(self, node: Call) -> Type:
        if node.target is None:
            return self.has(node) if node.function == "has" else self.function(node)
        if node.function in MACROS:
            return self.macro(node, node.target)
        return self.method(node, node.target)

    def has(self, node: Call) -> Type:
        argument = node.arguments[0] if len(node.arguments) == 1 else None
        if not isinstance(argument, Select):
            return self.mistake(node.start, "has() takes one field, such as has(d.os)")
        found = self.field_type(argument)
        if isinstance(found, (StructType, ListType)):
            text = "has() asks about one value; take a field of it, or size() of a list"
            return self.mistake(node.start, text)
        if found in (TEXT, TIME) or isinstance(found, EnumType):
            self.has_text(node, argument)
        return BOOL

    def has_text(self, node: Call, argument: Select) -> None:
        """Rewrite `has(x.f)`: absent text is empty text in the data, and not only missing."""
        self.splices.replace(node.function_start, node.function_start + len(node.function), "")
        self.splices.wrap(argument.operand.start, argument.operand.end, "[", "]")
        name = argument.field
        text = f'.exists(_h, has(_h.{name}) && _h.{name} != "")'
        self.splices.replace(argument.operand.end, argument.field_start + len(name), text)

    def function(self, node: Call) -> Type:
        signature = FUNCTIONS.get(node.function)
        if signature is None:
            near = suggest(node.function, [*FUNCTIONS, "has"])
            return self.mistake(node.start, f"unknown function {quote(node.function)}{near}")
        self.arguments(node, signature)
        if node.function == "names" and len(node.arguments) == 1:
            self.fields.add("_name")
            self.splices.replace(node.start, node.function_start + len(node.function), "")
            self.splices.wrap(node.start, node.end, "", '.map(_n, _n._name).join(", ")')
        return signature.gives

    def arguments(self, node: Call, signature: Signature) -> None:
        found = [self.value(argument) for argument in node.arguments]
        if not signature.least <= len(found) <= len(signature.takes):
            many = len(signature.takes)
            self.mistake(node.function_start, f"{node.function}() takes {many} values")
            return
        for argument, part, group in zip(node.arguments, found, signature.takes, strict=False):
            if not accepts(group, part):
                text = f"{node.function}() takes {GROUP_NAMES[group]}, found {part}"
                self.mistake(argument.start, text)

    def method(self, node: Call, target: Node) -> Type:
        operand = self.value(target)
        if node.function == "size" and accepts("sized", operand):
            self.arguments(node, Signature((), INT))
            return INT
        if node.function == "join" and operand in (ListType(TEXT), ListType(None), DYN):
            self.arguments(node, Signature(("text",), TEXT, needed=0))
            return TEXT
        signature = METHODS.get(node.function)
        if signature is None or not accepts("text", operand):
            near = suggest(node.function, [*METHODS, *MACROS, "size", "join"])
            text = f"{operand} has no function {quote(node.function)}{near}"
            return self.mistake(node.function_start, text)
        self.arguments(node, signature)
        return signature.gives

    # -- macros ----------------------------------------------------------------------------

    def macro(self, node: Call, target: Node) -> Type:
        operand = self.value(target)
        if operand != DYN and not isinstance(operand, ListType):
            text = f"{node.function} needs a list before it, found {operand}"
            return self.mistake(node.function_start, text)
        item = operand.item if isinstance(operand, ListType) else DYN
        name = self.local_name(node)
        if name is None:
            return DYN
        self.local[name] = item if item is not None else DYN
        found = [self.value(part) for part in node.arguments[1:]]
        del self.local[name]
        return self.macro_type(node, operand, found)

    def local_name(self, node: Call) -> str | None:
        counts = MACROS[node.function]
        if len(node.arguments) - 1 not in counts or not isinstance(node.arguments[0], Name):
            text = f"write {node.function}(item, expression with item)"
            self.mistake(node.function_start, text)
            return None
        first = node.arguments[0]
        if first.name in self.scope or first.name in self.local:
            self.mistake(first.start, f"{quote(first.name)} already has a meaning here")
            return None
        if not LOCAL_NAME.fullmatch(first.name):
            self.mistake(first.start, f"{quote(first.name)} is not a name: use a-z, 0-9 and _")
            return None
        return first.name

    def macro_type(self, node: Call, operand: Type, found: list[Type]) -> Type:
        if node.function != "map" or len(found) == 2:
            self.expect(node.arguments[1], found[0], BOOL)
        if node.function == "filter":
            return operand
        if node.function == "map":
            last = found[-1]
            return ListType(TEXT if isinstance(last, LiteralText) else last)
        return BOOL
