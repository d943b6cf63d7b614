"""A step's `with` against the parameters that its action declares."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from quell.domain.action import Action
from quell.playbooks.analysis import strings_in
from quell.playbooks.document import Path
from quell.playbooks.source import one_of, quote, suggest
from quell.playbooks.templates import has_template

__all__ = ["check_params"]

PLACE = re.compile(r" - at `\$([^`]*)`$")
STEP_OF_PLACE = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")

#: a mistake: its path, whether the key is meant, and the text
Mistake = tuple[Path, bool, str]


def check_params(action: Action, params: dict[str, Any], path: Path) -> Iterator[Mistake]:
    """List what is unknown, missing, or of the wrong type."""
    fields = {part.encode_name: part for part in msgspec.structs.fields(action.params)}
    for name in params:
        if name not in fields:
            near = suggest(name, fields)
            hint = near or (f"; it takes {one_of(fields)}" if fields else "; it takes none")
            yield (*path, name), True, f"{action.name} has no parameter {quote(name)}{hint}"
    missing = [name for name, part in fields.items() if part.required and name not in params]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        yield path, True, f"{action.name} needs {names} in `with`"
    for name, value in params.items():
        if name in fields:
            yield from _check_value(fields[name].type, value, (*path, name))


def _check_value(kind: Any, value: Any, path: Path) -> Iterator[Mistake]:
    templated = [inner for inner, text in strings_in(value, path) if has_template(text)]
    if templated:
        yield from _check_templated(kind, value, path, templated)
        return
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        inner, text = _place(str(error))
        yield (*path, *inner), False, text


def _check_templated(kind: Any, value: Any, path: Path, templated: list[Path]) -> Iterator[Mistake]:
    """Check that text may stand where templates stand; what they give is checked when filled."""
    info = msgspec.inspect.type_info(kind)
    for inner in templated:
        if not _takes_text(info, inner[len(path) :]):
            yield inner, False, "a template gives text, which this parameter does not take"


def _takes_text(info: msgspec.inspect.Type, inner: Path) -> bool:
    match info:
        case msgspec.inspect.Metadata(type=wrapped):
            return _takes_text(wrapped, inner)
        case msgspec.inspect.UnionType(types=types):
            return any(_takes_text(part, inner) for part in types)
        case msgspec.inspect.AnyType():
            return True
        case msgspec.inspect.CollectionType(item_type=item):
            return bool(inner) and _takes_text(item, inner[1:])
        case msgspec.inspect.DictType(value_type=item):
            return bool(inner) and _takes_text(item, inner[1:])
        case msgspec.inspect.StructType(fields=fields):
            by_name = {part.encode_name: part.type for part in fields}
            return bool(inner) and _takes_text(by_name.get(str(inner[0]), UNKNOWN), inner[1:])
        case _:
            return not inner and isinstance(info, TEXTUAL)


#: stands for a field that is not there: `convert` tells of it when all is filled
UNKNOWN = msgspec.inspect.AnyType()
#: what msgspec reads from text
TEXTUAL = (
    msgspec.inspect.StrType,
    msgspec.inspect.EnumType,
    msgspec.inspect.LiteralType,
    msgspec.inspect.DateTimeType,
    msgspec.inspect.UUIDType,
)


def _place(message: str) -> tuple[Path, str]:
    """Split msgspec's message into the place inside the value and the words."""
    found = PLACE.search(message)
    text = message[: found.start()] if found else message
    steps = STEP_OF_PLACE.findall(found.group(1)) if found else []
    return tuple(int(index) if index else name for index, name in steps), text.replace("`", "")
