"""Settings for people: each with its type, default, sentence, value, and where that came from."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeGuard, cast
from urllib.parse import urlsplit, urlunsplit

import msgspec

from quell.domain.offers import SettingsSection
from quell.domain.secret import Secret
from quell.settings.model import CoreSettings, Settings, TenantTable

__all__ = ["SettingRow", "declared_rows", "field_comments", "rows_of", "shown_rows"]

#: settings whose secret is a URL: all but its password may be seen
URLS = frozenset({"journal", "redis_url"})
DEFAULT = "default"


class SettingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One setting."""

    name: str
    type: str
    default: str
    text: str
    value: str = ""
    origin: str = ""


def declared_rows(sections: Sequence[SettingsSection]) -> Iterator[SettingRow]:
    """List every setting that there can be; `NAME` stands for what the operator chooses."""
    yield from _declared(CoreSettings, "")
    yield from _declared(TenantTable, "tenant.NAME.")
    for section in sorted(sections, key=lambda one: one.name):
        place = "tenant.NAME." if section.per_tenant else "plugin."
        yield from _declared(section.model, f"{place}{section.name}.")


def rows_of(model: type) -> Iterator[SettingRow]:
    """List the fields of one model, e.g. of an action's parameters."""
    return _declared(model, "")


def _declared(model: type, prefix: str) -> Iterator[SettingRow]:
    hints = typing.get_type_hints(model)
    comments = field_comments(model)
    # as in a file: a table's own keys come before the tables inside it
    fields = sorted(msgspec.structs.fields(model), key=lambda one: _is_inner(hints[one.name]))
    for field in fields:
        name = f"{prefix}{field.encode_name}"
        inner = _inner_model(hints[field.name])
        if inner is not None:
            suffix, model_inside = inner
            yield from _declared(model_inside, f"{name}{suffix}.")
        else:
            yield SettingRow(
                name=name,
                type=type_words(hints[field.name]),
                default=_default_words(field),
                text=comments.get(field.name, ""),
            )


def shown_rows(settings: Settings) -> Iterator[SettingRow]:
    """List every setting that has a value, with the value (secrets masked) and where it is from."""
    own = {name: getattr(settings, name) for name in CoreSettings.__struct_fields__}
    yield from _shown(CoreSettings, own, "", settings.origins)
    for name, tenant in settings.tenants.items():
        table = {field: getattr(tenant, field) for field in TenantTable.__struct_fields__}
        yield from _shown(TenantTable, table, f"tenant.{name}.", settings.origins)
        yield from _shown_sections(tenant.sections, f"tenant.{name}.", settings.origins)
    yield from _shown_sections(settings.sections, "plugin.", settings.origins)


def _shown_sections(
    sections: Mapping[str, Any], prefix: str, origins: Mapping[str, str]
) -> Iterator[SettingRow]:
    for name, value in sections.items():
        yield from _shown_struct(value, f"{prefix}{name}.", origins)


def _shown(
    model: type, values: Mapping[str, Any], prefix: str, origins: Mapping[str, str]
) -> Iterator[SettingRow]:
    hints = typing.get_type_hints(model)
    comments = field_comments(model)
    for field in msgspec.structs.fields(model):
        name = f"{prefix}{field.encode_name}"
        value = values[field.name]
        if isinstance(value, msgspec.Struct):
            yield from _shown_struct(value, f"{name}.", origins)
        elif _inner_model(hints[field.name]) is not None and value:
            yield from _shown_many(value, name, origins)
        else:
            yield SettingRow(
                name=name,
                type=type_words(hints[field.name]),
                default=_default_words(field),
                text=comments.get(field.name, ""),
                value=value_words(value, is_url=name in URLS),
                origin=_origin_of(name, origins),
            )


def _shown_many(value: Any, name: str, origins: Mapping[str, str]) -> Iterator[SettingRow]:
    entries: list[tuple[str, Any]] = (
        [(f"{name}.{key}", entry) for key, entry in cast(dict[str, Any], value).items()]
        if isinstance(value, dict)
        else [(f"{name}[{index}]", entry) for index, entry in enumerate(value)]
    )
    for place, entry in entries:
        yield from _shown_struct(entry, f"{place}.", origins)


def _shown_struct(
    value: msgspec.Struct, prefix: str, origins: Mapping[str, str]
) -> Iterator[SettingRow]:
    values = {name: getattr(value, name) for name in value.__struct_fields__}
    return _shown(type(value), values, prefix, origins)


def _origin_of(name: str, origins: Mapping[str, str]) -> str:
    """Tell where a value is from: its own place, or the table or list that it is part of."""
    plain = re.sub(r"\[\d+\].*", "", name)
    below = [origin for known, origin in origins.items() if known.startswith(f"{plain}.")]
    return origins.get(plain) or (below[0] if below else DEFAULT)


def value_words(value: Any, *, is_url: bool = False) -> str:
    """Write a value as the file would have it; a secret stays a mask."""
    if isinstance(value, Secret):
        return _without_password(value.reveal()) if is_url else str(value)
    if value is None:
        return ""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value, enc_hook=str).decode()


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:•••@{host}"))


def type_words(hint: Any) -> str:
    """Say in words what a setting holds."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return type_words(arguments[0])
    if origin is Literal:
        return " or ".join(f'"{one}"' for one in arguments)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(type_words(one) for one in arguments if one is not type(None))
    if origin in {tuple, list, frozenset, set}:
        return f"list of {type_words(arguments[0])}"
    if origin is dict:
        return f"table of {type_words(arguments[1])}"
    if _is_enum(hint):
        return " or ".join(f'"{one.value}"' for one in hint)
    words = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return words.get(hint) or {Secret: "secret", Path: "path"}.get(hint) or _name(hint)


def _is_enum(hint: Any) -> TypeGuard[type[Enum]]:
    return isinstance(hint, type) and issubclass(hint, Enum)


def _name(hint: Any) -> str:
    return str(getattr(hint, "__name__", hint))


def _inner_model(hint: Any) -> tuple[str, type] | None:
    """Find the model inside a table or a list of tables, and how its name goes on."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return "", hint
    for part in typing.get_args(hint):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            origin = typing.get_origin(hint)
            return ("[]" if origin in {tuple, list} else ".NAME" if origin is dict else ""), part
    return None


def _is_inner(hint: Any) -> bool:
    return _inner_model(hint) is not None


def _default_words(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    default = field.default
    if default is msgspec.NODEFAULT:
        default = field.default_factory() if callable(field.default_factory) else None
    return value_words(default)


@cache
def field_comments(model: type) -> dict[str, str]:
    """Read the `#:` comments above a model's fields, its own and inherited, from the source."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct:
            found |= _own_comments(kind)
    return found


def _own_comments(model: type) -> dict[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(model))
    except (OSError, TypeError):
        # made without a source file: there is nothing to read, and nothing else depends on it
        return {}
    lines = source.splitlines()
    body = cast(ast.ClassDef, ast.parse(source).body[0]).body
    return {
        node.target.id: _comment_above(lines, node.lineno - 1)
        for node in body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _comment_above(lines: Sequence[str], index: int) -> str:
    words: list[str] = []
    while index > 0 and lines[index - 1].strip().startswith("#:"):
        index -= 1
        words.insert(0, lines[index].strip().removeprefix("#:").strip())
    return " ".join(words)
