"""Texts with expressions in them: `{{ CEL }}`, split once, so that inserted text is never read."""

from __future__ import annotations

from dataclasses import dataclass

from quell.playbooks.tokens import ExpressionMistake, TokenKind, next_token

__all__ = ["Piece", "has_template", "split_template"]

OPEN, CLOSE = "{{", "}}"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of literal text, or an expression and where in the text it begins."""

    text: str
    is_expression: bool = False
    offset: int = 0


def has_template(text: str) -> bool:
    """Tell whether a text holds an opening `{{`."""
    return OPEN in text


def split_template(text: str) -> list[Piece]:
    """Split a text into literal pieces and expressions; raises ExpressionMistake."""
    pieces: list[Piece] = []
    position = 0
    while (start := text.find(OPEN, position)) >= 0:
        if start > position:
            pieces.append(Piece(text[position:start]))
        begin = start + len(OPEN)
        end = _closing(text, start)
        pieces.append(Piece(text[begin:end], is_expression=True, offset=begin))
        position = end + len(CLOSE)
    if position < len(text):
        pieces.append(Piece(text[position:]))
    return pieces


def _closing(text: str, start: int) -> int:
    """Find the `}}` of the `{{` at `start`, past quoted texts and maps inside."""
    depth = 0
    position = start + len(OPEN)
    while True:
        token = next_token(text, position)
        if token.kind is TokenKind.END:
            raise ExpressionMistake(start, "the {{ begun here has no closing }}")
        if token.value == "}" and token.kind is TokenKind.SIGN:
            if depth == 0 and text.startswith(CLOSE, token.start):
                return token.start
            depth -= 1
        elif token.value == "{" and token.kind is TokenKind.SIGN:
            depth += 1
        position = token.end
