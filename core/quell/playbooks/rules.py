"""The ground that the rules of typing stand on: scope, mistakes, and comparing two types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quell.playbooks.celtypes import (
    FAULTY,
    EnumGroup,
    EnumType,
    LiteralText,
    Type,
    Unusable,
)
from quell.playbooks.join import join
from quell.playbooks.source import one_of, quote, suggest
from quell.playbooks.splices import Splices
from quell.playbooks.syntax import (
    Node,
)
from quell.playbooks.tokens import ExpressionMistake

__all__ = ["Rules"]


@dataclass(slots=True)
class Rules:
    """What all rules share: the scope, what was found, and how mistakes are noted.

    After a mistake the part is `anything`, so that it is told once.
    """

    scope: Mapping[str, Type]
    local: dict[str, Type] = field(default_factory=dict[str, Type])
    roots: set[str] = field(default_factory=set[str])
    fields: set[str] = field(default_factory=set[str])
    mistakes: list[ExpressionMistake] = field(default_factory=list[ExpressionMistake])
    splices: Splices = field(default_factory=Splices)

    def value(self, node: Node) -> Type:
        """Give the type of a part that must be a value."""
        found = self.any(node)
        match found:
            case EnumGroup(enum=enum):
                text = f"write one of its constants, such as {enum.name}.{enum.values[-1]}"
                return self.mistake(node.start, text)
            case Unusable(reason=reason):
                return self.mistake(node.start, reason)
            case _:
                return found

    def mistake(self, offset: int, text: str) -> Type:
        self.mistakes.append(ExpressionMistake(offset, text))
        return FAULTY

    def any(self, node: Node) -> Type:
        """Give the type of any part, value or not; the whole checker knows how."""
        raise NotImplementedError

    def again(self, node: Node) -> Type:
        """Give the type of a part that was typed before, without noting anything twice."""
        return type(self)(self.scope, dict(self.local)).any(node)

    def expect(self, node: Node, found: Type, wanted: Type) -> None:
        if join(found, wanted) is None:
            self.mistake(node.start, f"expected {wanted}, found {found}")

    def comparable(self, node: Node, left: Type, right: Type, other: Node) -> Type | None:
        """Join two types that are compared; a wrong word of an enum is named at its place."""
        for enum, literal, place in ((left, right, other), (right, left, node)):
            if isinstance(enum, EnumType) and isinstance(literal, LiteralText):
                self.word_of(enum, literal.value, place)
                return enum
        joined = join(left, right)
        if joined is None:
            self.mistake(other.start, f"{left} cannot be compared with {right}")
        return joined

    def word_of(self, enum: EnumType, word: str, place: Node) -> None:
        if word in enum.values:
            return
        near = suggest(word, enum.values)
        known = "" if near else f"; there are {one_of(enum.values)}"
        self.mistake(place.start, f"{quote(word)} is not a {enum.name}{near}{known}")
