"""Reads OData filters and orders: as much of the language as the simulated APIs are known to take."""

from __future__ import annotations

import re

from .odata import (
    Among,
    AnyOf,
    Both,
    Call,
    Compare,
    Either,
    Filter,
    Kind,
    Literal,
    Moment,
    Not,
    ODataError,
    Properties,
)
from .state.clock import parse_stamp

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')"
    r"|(?P<moment>\d{4}-\d\d-\d\d(?:T[0-9:.]+(?:Z|[+-]\d\d:\d\d)?)?(?![0-9A-Za-z-]))"
    r"|(?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<number>-?\d+(?:\.\d+)?(?![\w.]))"
    r"|(?P<name>[A-Za-z_@][\w.@]*(?:/[A-Za-z_@][\w.@]*)*)"
    r"|(?P<mark>[(),:]))",
    re.ASCII,
)
_OPERATORS = {
    "eq": "Equal",
    "ne": "NotEqual",
    "lt": "LessThan",
    "le": "LessThanOrEqual",
    "gt": "GreaterThan",
    "ge": "GreaterThanOrEqual",
}
_FUNCTIONS = frozenset({"contains", "startswith", "endswith"})
_MAX_DEPTH = 50


def parse_filter(text: str, properties: Properties, type_name: str = "resource") -> Filter:
    """Read a `$filter`; raises ODataError in the words of the service."""
    parser = _Parser(text, properties, type_name)
    parsed = parser.either(0)
    parser.end()
    return parsed


def parse_order(text: str, properties: Properties) -> tuple[tuple[str, bool], ...]:
    """Read an `$orderby` into (path, is descending) pairs."""
    keys: list[tuple[str, bool]] = []
    for part in text.split(","):
        words = part.split()
        direction = words[1].lower() if len(words) == 2 else "asc"
        if not 1 <= len(words) <= 2 or direction not in ("asc", "desc"):
            raise ODataError(f"Syntax error in the $orderby expression '{text}'.")
        keys.append((_known(words[0], properties, "resource"), direction == "desc"))
    return tuple(keys)


def _known(path: str, properties: Properties, type_name: str) -> str:
    if path in properties:
        return path
    lowered = {name.casefold(): name for name in properties}
    if path.casefold() in lowered:
        return lowered[path.casefold()]
    raise ODataError(f"Could not find a property named '{path}' on type '{type_name}'.")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            raise ODataError(f"Syntax error at position {position} in '{text}'.")
        tokens.append((str(match.lastgroup), match.group(str(match.lastgroup))))
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent over the tokens of one filter."""

    def __init__(self, text: str, properties: Properties, type_name: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0
        self._properties = properties
        self._type_name = type_name
        self._variables: list[str] = []

    def end(self) -> None:
        if self._at != len(self._tokens):
            raise self._error()

    def either(self, depth: int) -> Filter:
        if depth > _MAX_DEPTH:
            raise ODataError("The node count limit has been exceeded.")
        left = self._both(depth)
        while self._word("or"):
            left = Either(left, self._both(depth))
        return left

    def _both(self, depth: int) -> Filter:
        left = self._not(depth)
        while self._word("and"):
            left = Both(left, self._not(depth))
        return left

    def _not(self, depth: int) -> Filter:
        if depth > _MAX_DEPTH:
            raise ODataError("The node count limit has been exceeded.")
        if self._word("not"):
            return Not(self._not(depth + 1))
        return self._primary(depth)

    def _primary(self, depth: int) -> Filter:
        if self._mark("("):
            inner = self.either(depth + 1)
            self._expect(")")
            return inner
        name = self._name()
        if self._mark("("):
            return self._function(name, depth)
        return self._comparison(name)

    def _function(self, name: str, depth: int) -> Filter:
        if name in _FUNCTIONS:
            path = self._property(self._name())
            self._expect(",")
            literal = self._literal()
            self._expect(")")
            if not isinstance(literal, str):
                raise self._error()
            return Call(name, path, literal)
        if name.endswith("/any"):
            return self._any(self._property(name.removesuffix("/any")), depth)
        raise ODataError(f"An unknown function with name '{name}' was found.")

    def _any(self, path: str, depth: int) -> Filter:
        variable = self._name()
        self._expect(":")
        self._variables.append(variable)
        inner = self.either(depth + 1)
        self._variables.pop()
        self._expect(")")
        return AnyOf(path, variable, inner)

    def _comparison(self, name: str) -> Filter:
        path = self._property(name)
        operator = self._name().lower()
        if operator == "in":
            return Among(path, self._literals())
        if operator not in _OPERATORS:
            raise self._error()
        literal = self._literal()
        self._check(path, operator, literal)
        return Compare(path, operator, literal)

    def _literals(self) -> tuple[Literal, ...]:
        self._expect("(")
        found = [self._literal()]
        while self._mark(","):
            found.append(self._literal())
        self._expect(")")
        return tuple(found)

    def _check(self, path: str, operator: str, literal: Literal) -> None:
        kind = self._properties.get(path)
        wrong = (kind is Kind.MOMENT and isinstance(literal, str)) or (
            kind is Kind.TEXT and isinstance(literal, Moment)
        )
        if wrong and kind is not None:
            other = Kind.TEXT if kind is Kind.MOMENT else Kind.MOMENT
            raise ODataError(
                "A binary operator with incompatible types was detected. Found operand types "
                f"'{kind}' and '{other}' for operator kind '{_OPERATORS[operator]}'."
            )

    def _property(self, name: str) -> str:
        if name.split("/")[0] in self._variables:
            return name
        return _known(name, self._properties, self._type_name)

    def _literal(self) -> Literal:
        kind, text = self._next()
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "moment":
            return self._moment(text)
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "guid":
            return text
        constants: dict[str, Literal] = {"null": None, "true": True, "false": False}
        if kind == "name" and text.lower() in constants:
            return constants[text.lower()]
        raise self._error()

    def _moment(self, text: str) -> Moment:
        full = text if "T" in text else f"{text}T00:00:00Z"
        if parse_stamp(full) is None:
            raise ODataError(f"Unrecognized 'Edm.DateTimeOffset' literal '{text}'.")
        return Moment(full)

    def _word(self, word: str) -> bool:
        if self._at < len(self._tokens):
            kind, text = self._tokens[self._at]
            if kind == "name" and text.lower() == word:
                self._at += 1
                return True
        return False

    def _mark(self, mark: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("mark", mark):
            self._at += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._mark(mark):
            raise self._error()

    def _name(self) -> str:
        kind, text = self._next()
        if kind != "name":
            raise self._error()
        return text

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise self._error()
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _error(self) -> ODataError:
        return ODataError(f"Syntax error at position {self._at} in '{self._text}'.")
