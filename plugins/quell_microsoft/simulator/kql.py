"""A very small part of the Kusto query language: a table, `where`, `project`, `take`, `count`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from .state.clock import parse_stamp, sortable
from .wire import Json

Row = Mapping[str, Any]
Condition = Callable[[Row], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>@?"(?:[^"\\]|\\.)*"|@?'(?:[^'\\]|\\.)*')
    |(?P<function>datetime|todatetime|now|ago)\s*\((?P<argument>[^()]*)\)
    |(?P<number>-?\d+(?:\.\d+)?(?![\w.]))
    |(?P<name>[A-Za-z_]\w*~?)
    |(?P<mark>==|!=|=~|!~|>=|<=|>|<|\(|\)|,|=|-))""",
    re.VERBOSE | re.ASCII,
)


class QueryError(ValueError):
    """A query that this part of the language cannot answer; `code` as the service names it."""

    def __init__(self, message: str, code: str = "SyntaxError") -> None:
        super().__init__(message)
        self.code = code


def run(query: str, tables: Mapping[str, Sequence[Json]]) -> tuple[list[str], list[Json]]:
    """Answer a query with its columns and rows; raises QueryError."""
    parts = [part.strip() for part in _split(_without_comments(query))]
    table = parts[0].rstrip(";").strip()
    if table not in tables:
        text = f"'where' operator: Failed to resolve table expression named '{table}'"
        raise QueryError(text, "SemanticError")
    rows: list[Json] = list(tables[table])
    columns = list(dict.fromkeys(name for row in rows for name in row))
    for part in parts[1:]:
        word, _, rest = part.rstrip(";").strip().partition(" ")
        columns, rows = _apply(word.casefold(), rest.strip(), columns, rows)
    return columns, rows


def _apply(
    word: str, rest: str, columns: list[str], rows: list[Json]
) -> tuple[list[str], list[Json]]:
    if word in ("where", "filter"):
        condition = _parse(rest)
        return columns, [row for row in rows if condition(row)]
    if word in ("project", "project-reorder"):
        return _project(rest, rows)
    if word in ("take", "limit"):
        return columns, rows[: int(rest) if rest.isdigit() else 0]
    if word == "count":
        return ["Count"], [{"Count": len(rows)}]
    if word in ("order", "sort", "top"):
        return columns, _order(word, rest, rows)
    if word == "distinct":
        columns, rows = _project(rest, rows)
        unique = {repr(sorted(row.items())): row for row in rows}
        return columns, list(unique.values())
    if word == "summarize":
        return columns, _latest(rest, rows)
    raise QueryError(f"Query could not be parsed at '{word}'")


def _project(rest: str, rows: list[Json]) -> tuple[list[str], list[Json]]:
    pairs: list[tuple[str, str]] = []
    for item in rest.split(","):
        name, _, source = (text.strip() for text in item.partition("="))
        pairs.append((name, source or name))
    names = [name for name, _ in pairs]
    return names, [{name: row.get(source) for name, source in pairs} for row in rows]


def _order(word: str, rest: str, rows: list[Json]) -> list[Json]:
    match = re.fullmatch(r"(?:(\d+)\s+)?by\s+(\w+)(?:\s+(asc|desc))?.*", rest, re.DOTALL)
    if match is None:
        raise QueryError(f"Query could not be parsed at '{word}'")
    count, column, direction = match.groups()
    ordered = sorted(rows, key=lambda row: _rank(row.get(column)), reverse=direction != "asc")
    return ordered[: int(count)] if count else ordered


def _rank(value: Any) -> tuple[str, str, float]:
    """Place a value among its like; moments do not sort as texts, their zeros are cut."""
    if isinstance(value, int | float):
        return "", "", float(value)
    whole, fraction = sortable(value) or (str(value), "")
    return whole, fraction, 0.0


def _latest(rest: str, rows: list[Json]) -> list[Json]:
    """Do `arg_max(column, *) by key`, the one summary that incident history needs."""
    match = re.fullmatch(r"arg_max\s*\(\s*(\w+)\s*,\s*\*\s*\)\s*by\s+(\w+)", rest)
    if match is None:
        raise QueryError("Query could not be parsed at 'summarize'")
    column, key = match.groups()
    latest: dict[str, Json] = {}
    for row in sorted(rows, key=lambda row: _rank(row.get(column))):
        latest[str(row.get(key))] = row
    return list(latest.values())


def _without_comments(query: str) -> str:
    return "\n".join(line for line in query.splitlines() if not line.lstrip().startswith("//"))


def _split(query: str) -> list[str]:
    """Split at pipes that are not inside a text."""
    parts, current, quote, escaped = [""], 0, "", False
    for char in query:
        if quote:
            escaped, was = (char == "\\" and not escaped), escaped
            quote = "" if char == quote and not was else quote
        elif char in "\"'":
            quote = char
        elif char == "|":
            parts.append("")
            current += 1
            continue
        parts[current] += char
    return parts


def _parse(text: str) -> Condition:
    parser = _Parser(text)
    condition = parser.either()
    parser.end()
    return condition


class _Parser:
    """Recursive descent over one `where` clause."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0

    def end(self) -> None:
        if self._at != len(self._tokens):
            raise self._error()

    def either(self) -> Condition:
        options = [self._both()]
        while self._take("name", "or"):
            options.append(self._both())
        return lambda row: any(option(row) for option in options)

    def _both(self) -> Condition:
        parts = [self._primary()]
        while self._take("name", "and"):
            parts.append(self._primary())
        return lambda row: all(part(row) for part in parts)

    def _primary(self) -> Condition:
        if self._take("name", "not"):
            inner = self._primary()
            return lambda row: not inner(row)
        if self._take("mark", "("):
            inner = self.either()
            self._expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Condition:
        kind, column = self._next()
        if kind != "name":
            raise self._error()
        _, operator = self._next()
        if operator.casefold() in ("in", "in~"):
            wanted = self._list()
            same = _same_ignoring_case if operator.endswith("~") else _same
            return lambda row: any(same(row.get(column), value) for value in wanted)
        compare = _OPERATORS.get(operator)
        if compare is None:
            raise self._error()
        literal = self._literal()
        return lambda row: compare(row.get(column), literal)

    def _list(self) -> list[Any]:
        self._expect("(")
        values = [self._literal()]
        while self._take("mark", ","):
            values.append(self._literal())
        self._expect(")")
        return values

    def _literal(self) -> Any:
        kind, text = self._next()
        if kind == "text":
            return _unquote(text)
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "function":
            return text
        if kind == "name" and text in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[text]
        raise self._error()

    def _take(self, kind: str, text: str) -> bool:
        is_next = self._at < len(self._tokens) and self._tokens[self._at] == (kind, text)
        self._at += is_next
        return is_next

    def _expect(self, mark: str) -> None:
        if not self._take("mark", mark):
            raise self._error()

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise self._error()
        self._at += 1
        return self._tokens[self._at - 1]

    def _error(self) -> QueryError:
        where = self._tokens[self._at - 1][1] if self._at else "where"
        return QueryError(f"Query could not be parsed at '{where}'")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position, stripped = 0, text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            raise QueryError(f"Query could not be parsed at '{stripped[position : position + 8]}'")
        if match.group("function"):
            # moments other than datetime(...) hold for every row: nothing here is older
            is_fixed = match.group("function") in ("datetime", "todatetime")
            argument = match.group("argument").strip().strip("\"'")
            tokens.append(("function", argument if is_fixed else "1970-01-01T00:00:00Z"))
        else:
            kind = next(k for k in ("text", "number", "name", "mark") if match.group(k))
            tokens.append((kind, match.group(kind)))
        position = match.end()
    return tokens


def _unquote(text: str) -> str:
    if text.startswith("@"):
        return text[2:-1]
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), text[1:-1])


def _same(value: Any, literal: Any) -> bool:
    return bool(value == literal)


def _same_ignoring_case(value: Any, literal: Any) -> bool:
    return str(value).casefold() == str(literal).casefold()


def _ordered(value: Any, literal: Any) -> int | None:
    if parse_stamp(value) is not None and parse_stamp(literal) is not None:
        left, right = cast("Any", sortable(value)), cast("Any", sortable(literal))
    elif isinstance(value, int | float) and isinstance(literal, int | float):
        left, right = cast("Any", value), cast("Any", literal)
    else:
        return None
    return int(left > right) - int(left < right)


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": _same,
    "!=": lambda value, literal: not _same(value, literal),
    "=~": _same_ignoring_case,
    "!~": lambda value, literal: not _same_ignoring_case(value, literal),
    ">": lambda value, literal: _ordered(value, literal) == 1,
    "<": lambda value, literal: _ordered(value, literal) == -1,
    ">=": lambda value, literal: _ordered(value, literal) in (0, 1),
    "<=": lambda value, literal: _ordered(value, literal) in (0, -1),
    "has": lambda value, literal: str(literal).casefold() in str(value).casefold(),
    "contains": lambda value, literal: str(literal).casefold() in str(value).casefold(),
    "startswith": lambda value, literal: str(value).casefold().startswith(str(literal).casefold()),
    "endswith": lambda value, literal: str(value).casefold().endswith(str(literal).casefold()),
}
