"""The structure of an expression: a bounded parser for the part of CEL that playbooks may use.

The CEL library evaluates; this tree is for what its type check leaves out, and for the
places of mistakes. The library compiles every expression at load too, and what only it
refuses is told as its complaint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NoReturn, TypeAlias

from quell.playbooks.tokens import ExpressionMistake, Token, TokenKind, tokenize

__all__ = [
    "Binary",
    "Call",
    "Conditional",
    "Index",
    "ListOf",
    "Literal",
    "MapOf",
    "Name",
    "Node",
    "Select",
    "Unary",
    "parse",
    "walk",
]

#: deeper trees are refused; the library allows 32 nested parentheses
MAX_DEPTH = 30
MAX_TREE = 64
MAX_TOKENS = 1_000
#: the longest numeral that can fit 64 bits, with leading zeros to spare
MAX_NUMERAL = 64
RESERVED = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal(_Node):
    """A text, number, true, false or null as written."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Name(_Node):
    """A bare name."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Select(_Node):
    """`operand.field`."""

    operand: Node
    field: str
    field_start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Index(_Node):
    """`operand[index]`."""

    operand: Node
    index: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(_Node):
    """`function(arguments)` or `target.function(arguments)`."""

    target: Node | None
    function: str
    function_start: int
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf(_Node):
    """`[items]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf(_Node):
    """`{key: value}`."""

    entries: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary(_Node):
    """`!operand` or `-operand`."""

    sign: str
    operand: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(_Node):
    """`left sign right`, `in` included."""

    sign: str
    sign_start: int
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional(_Node):
    """`condition ? yes : no`."""

    condition: Node
    yes: Node
    no: Node


Node: TypeAlias = (
    Literal | Name | Select | Index | Call | ListOf | MapOf | Unary | Binary | Conditional
)

#: binary signs from loosest to tightest
LEVELS = (
    ("||",),
    ("&&",),
    ("<", "<=", ">", ">=", "==", "!=", "in"),
    ("+", "-"),
    ("*", "/", "%"),
)


def parse(text: str) -> Node:
    """Parse a whole expression; raises ExpressionMistake at the first thing that cannot stand."""
    tokens = tokenize(text)
    if len(tokens) > MAX_TOKENS:
        raise ExpressionMistake(0, f"the expression has more than {MAX_TOKENS} words")
    parser = _Parser(tokens)
    node = parser.expression()
    parser.expect_end()
    _check_depth(node)
    return node


def _check_depth(node: Node) -> None:
    """Refuse chains in chains: whatever walks the tree may recurse."""
    level = [node]
    for _ in range(MAX_TREE):
        level = [part for parent in level for part in children(parent)]
        if not level:
            return
    raise ExpressionMistake(node.start, "the expression is nested too deeply")


def children(node: Node) -> tuple[Node, ...]:
    """List the direct parts of a node, in the order written."""
    match node:
        case Select(operand=operand) | Unary(operand=operand):
            return (operand,)
        case Index(operand=operand, index=index):
            return (operand, index)
        case Call(target=target, arguments=arguments):
            return (target, *arguments) if target is not None else arguments
        case ListOf(items=items):
            return items
        case MapOf(entries=entries):
            return tuple(part for entry in entries for part in entry)
        case Binary(left=left, right=right):
            return (left, right)
        case Conditional(condition=condition, yes=yes, no=no):
            return (condition, yes, no)
        case _:
            return ()


def walk(node: Node) -> list[Node]:
    """List a node and everything below it."""
    found = [node]
    for seen in found:
        found.extend(children(seen))
    return found


class _Parser:
    """Recursive descent; `depth` bounds both the recursion and the tree."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def expression(self) -> Node:
        self._deeper()
        node = self._binary(0)
        if self._take("?"):
            yes = self._binary(0)
            self._expect(":")
            no = self.expression()
            node = Conditional(start=node.start, end=no.end, condition=node, yes=yes, no=no)
        self.depth -= 1
        return node

    def expect_end(self) -> None:
        if self.token.kind is not TokenKind.END:
            self._fail(f"{self.token.value!r} is not expected here")

    def _binary(self, level: int) -> Node:
        if level == len(LEVELS):
            return self._unary()
        node = self._binary(level + 1)
        for _ in range(MAX_DEPTH):
            token = self._take_one_of(LEVELS[level])
            if token is None:
                return node
            right = self._binary(level + 1)
            node = Binary(
                start=node.start,
                end=right.end,
                sign=token.value,
                sign_start=token.start,
                left=node,
                right=right,
            )
        return self._fail(f"more than {MAX_DEPTH} terms in a row; use parentheses or a selection")

    def _unary(self) -> Node:
        token = self._take_one_of(("!", "-"))
        if token is None:
            return self._member()
        self._deeper()
        operand = self._unary()
        self.depth -= 1
        return Unary(start=token.start, end=operand.end, sign=token.value, operand=operand)

    def _member(self) -> Node:
        node = self._primary()
        for _ in range(MAX_DEPTH):
            if self._take("."):
                node = self._dotted(node)
            elif self._take("["):
                index = self.expression()
                end = self._expect("]")
                node = Index(start=node.start, end=end.end, operand=node, index=index)
            else:
                return node
        return self._fail(f"more than {MAX_DEPTH} names and calls in a row")

    def _dotted(self, operand: Node) -> Node:
        name = self._name()
        if not self._take("("):
            return Select(
                start=operand.start,
                end=name.end,
                operand=operand,
                field=name.value,
                field_start=name.start,
            )
        return self._call(operand, name)

    def _call(self, target: Node | None, name: Token) -> Node:
        arguments, end = self._list(")")
        start = target.start if target is not None else name.start
        return Call(
            start=start,
            end=end.end,
            target=target,
            function=name.value,
            function_start=name.start,
            arguments=arguments,
        )

    def _list(self, closing: str) -> tuple[tuple[Node, ...], Token]:
        items: list[Node] = []
        while not (end := self._take(closing)):
            items.append(self.expression())
            if not self._take(","):
                end = self._expect(closing)
                break
        return tuple(items), end

    def _primary(self) -> Node:
        token = self.token
        if token.kind is TokenKind.NAME:
            return self._named()
        if token.kind in (TokenKind.TEXT, TokenKind.INT, TokenKind.FLOAT):
            self.position += 1
            return Literal(start=token.start, end=token.end, value=_literal(token))
        if self._take("("):
            return self._parenthesised(token)
        if self._take("["):
            items, end = self._list("]")
            return ListOf(start=token.start, end=end.end, items=items)
        if self._take("{"):
            return self._map(token)
        what = "the expression ends too early" if not token.value else f"{token.value!r}"
        return self._fail(what if not token.value else f"{what} is not expected here")

    def _parenthesised(self, opening: Token) -> Node:
        inner = self.expression()
        closing = self._expect(")")
        return _widened(inner, opening.start, closing.end)

    def _map(self, opening: Token) -> Node:
        entries: list[tuple[Node, Node]] = []
        while not (end := self._take("}")):
            key = self.expression()
            self._expect(":")
            entries.append((key, self.expression()))
            if not self._take(","):
                end = self._expect("}")
                break
        return MapOf(start=opening.start, end=end.end, entries=tuple(entries))

    def _named(self) -> Node:
        token = self._name()
        words: dict[str, bool | None] = {"true": True, "false": False, "null": None}
        if token.value in words:
            return Literal(start=token.start, end=token.end, value=words[token.value])
        if token.value in RESERVED or token.value == "in":
            raise ExpressionMistake(token.start, f"`{token.value}` is reserved by CEL")
        if self._take("("):
            return self._call(None, token)
        return Name(start=token.start, end=token.end, name=token.value)

    def _name(self) -> Token:
        token = self.token
        if token.kind is not TokenKind.NAME:
            self._fail("a name is expected here")
        self.position += 1
        return token

    def _take(self, sign: str) -> Token | None:
        return self._take_one_of((sign,))

    def _take_one_of(self, signs: tuple[str, ...]) -> Token | None:
        token = self.token
        is_sign = token.kind is TokenKind.SIGN or (token.value == "in" and self.position > 0)
        if not is_sign or token.kind is TokenKind.TEXT or token.value not in signs:
            return None
        self.position += 1
        return token

    def _expect(self, sign: str) -> Token:
        token = self._take(sign)
        return token if token is not None else self._fail(f"`{sign}` is expected here")

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._fail(f"the expression is nested deeper than {MAX_DEPTH}")

    def _fail(self, text: str) -> NoReturn:
        raise ExpressionMistake(self.token.start, text)


def _literal(token: Token) -> str | int | float:
    if token.kind is TokenKind.TEXT:
        return token.value
    if len(token.value) > MAX_NUMERAL:
        raise ExpressionMistake(token.start, "the number does not fit 64 bits")
    if token.kind is TokenKind.FLOAT:
        return float(token.value)
    number = int(token.value, 0) if token.value[:2] in ("0x", "0X") else int(token.value)
    if number >= 2**63:
        raise ExpressionMistake(token.start, "the number does not fit 64 bits")
    return number


def _widened(node: Node, start: int, end: int) -> Node:
    return replace(node, start=start, end=end)
