"""The words of an expression: CEL's tokens, each with its place in the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["ExpressionMistake", "Token", "TokenKind", "tokenize"]


class ExpressionMistake(ValueError):
    """What is wrong with an expression, and at which character of it."""

    def __init__(self, offset: int, text: str) -> None:
        super().__init__(text)
        self.offset = offset
        self.text = text


class TokenKind(StrEnum):
    """What a token is."""

    NAME = "name"
    TEXT = "text"
    INT = "int"
    FLOAT = "float"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One word of an expression; `value` is decoded for texts."""

    kind: TokenKind
    value: str
    start: int
    end: int


SPACE = re.compile(r"(?:[ \t\r\n]+|//[^\n]*)*")
NUMBER = re.compile(
    r"(0[xX][0-9a-fA-F]+|[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?|\.[0-9]+([eE][-+]?[0-9]+)?)"
)
NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
SIGNS = ("&&", "||", "==", "!=", "<=", ">=", *"<>+-*/%!?:.,()[]{}")
ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.S
)
SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
SAME = frozenset("\\'\"`?")


def tokenize(text: str, start: int = 0) -> list[Token]:
    """Split an expression into tokens up to its end; raises ExpressionMistake."""
    tokens: list[Token] = []
    position = start
    while True:
        token = next_token(text, position)
        tokens.append(token)
        if token.kind is TokenKind.END:
            return tokens
        position = token.end


def next_token(text: str, position: int) -> Token:
    """Read the token at or after a position."""
    found = SPACE.match(text, position)
    position = found.end() if found else position
    if position >= len(text):
        return Token(TokenKind.END, "", position, position)
    quoted = _opening(text, position)
    if quoted is not None:
        return _text(text, position, *quoted)
    return _word(text, position)


def _word(text: str, position: int) -> Token:
    if name := NAME.match(text, position):
        return Token(TokenKind.NAME, name.group(), position, name.end())
    if number := NUMBER.match(text, position):
        return _number(text, number)
    for sign in SIGNS:
        if text.startswith(sign, position):
            return Token(TokenKind.SIGN, sign, position, position + len(sign))
    raise ExpressionMistake(position, f"{text[position]!r} has no meaning in an expression")


def _number(text: str, found: re.Match[str]) -> Token:
    word = found.group()
    if NAME.match(text, found.end()):
        raise ExpressionMistake(found.end(), "a number ends here; put a space or a sign after it")
    is_float = not word.lower().startswith("0x") and any(char in word for char in ".eE")
    kind = TokenKind.FLOAT if is_float else TokenKind.INT
    return Token(kind, word, found.start(), found.end())


def _opening(text: str, position: int) -> tuple[bool, int] | None:
    """Tell whether a quoted text begins here: whether it is raw, and where its quote stands."""
    is_raw = text[position] in "rR" and text[position + 1 : position + 2] in ("'", '"')
    quote = position + is_raw
    return (is_raw, quote) if text[quote] in "'\"" else None


def _text(text: str, start: int, is_raw: bool, quote: int) -> Token:
    mark = text[quote]
    if text.startswith(mark * 3, quote):
        raise ExpressionMistake(start, "texts in three quotes are not part of the language")
    parts: list[str] = []
    position = quote + 1
    while position < len(text) and text[position] != mark:
        if text[position] in "\r\n":
            break
        part, position = _piece(text, position, is_raw)
        parts.append(part)
    if text[position : position + 1] != mark:
        raise ExpressionMistake(start, f"the text begun here has no closing {mark}")
    return Token(TokenKind.TEXT, "".join(parts), start, position + 1)


def _piece(text: str, position: int, is_raw: bool) -> tuple[str, int]:
    if is_raw or text[position] != "\\":
        return text[position], position + 1
    found = ESCAPE.match(text, position)
    if found is None:
        raise ExpressionMistake(position, "this escape is not complete")
    return _unescape(found), found.end()


def _unescape(found: re.Match[str]) -> str:
    *codes, octal, simple = found.groups()
    code = next((int(digits, 16) for digits in codes if digits), None)
    if octal:
        code = int(octal, 8)
    if code is not None:
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise ExpressionMistake(found.start(), "this escape names no character")
        return chr(code)
    if simple in SAME:
        return str(simple)
    if simple not in SIMPLE:
        raise ExpressionMistake(found.start(), f"a backslash and {simple!r} is not an escape")
    return SIMPLE[simple]
