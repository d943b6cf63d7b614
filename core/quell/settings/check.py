"""Turning raw values into a model: unknown keys, wrong types and secrets, named by their path."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import msgspec
from msgspec import inspect

from quell.domain.secret import Secret, decode_secret
from quell.errors import SettingsError
from quell.settings.layers import EnvironmentText, is_table

__all__ = ["Checker"]

T = TypeVar("T")

AT = re.compile(r" - at `\$(?P<path>[^`]*)`$")


@dataclass(frozen=True, slots=True)
class Checker:
    """What values are checked with: where they came from, and where secrets and files are."""

    origin: Callable[[str], str]
    environ: Mapping[str, str]
    #: the folder that relative paths start from
    folder: Path

    def convert(self, values: Mapping[str, Any], model: type[T], name: str) -> T:
        """Make a `model` of values. Raises SettingsError with the dotted name of what is wrong."""
        cleaned = self._clean(values, inspect.type_info(model), name)
        return self._make(cleaned, model, name)

    def _make(self, values: Any, model: type[T], name: str) -> T:
        try:
            return msgspec.convert(values, model, dec_hook=self._decode)
        except msgspec.ValidationError as error:
            raise self._explained(error, name) from error

    def _explained(self, error: msgspec.ValidationError, name: str) -> SettingsError:
        text = str(error)
        place = AT.search(text)
        problem = text[: place.start()] if place else text
        path = f"{name}{place['path']}".strip(".") if place else name
        # what a secret's place says belongs to the place, never to its content
        return SettingsError(name=path, problem=problem, where=self.origin(path))

    def _clean(self, raw: Any, kind: inspect.Type, name: str) -> Any:
        """Read environment texts by type, refuse unknown keys, and check each inner model alone."""
        value: Any = _read_text(raw.text, kind) if isinstance(raw, EnvironmentText) else raw
        if is_table(value):
            return self._clean_table(value, kind, name)
        item = _pick(kind, inspect.ListType, inspect.VarTupleType)
        if _is_list(value) and isinstance(item, (inspect.ListType, inspect.VarTupleType)):
            return self._clean_list(value, item.item_type, name)
        return value

    def _clean_list(self, items: list[Any], kind: inspect.Type, name: str) -> list[Any]:
        return [self._clean(item, kind, f"{name}[{index}]") for index, item in enumerate(items)]

    def _clean_table(self, table: dict[str, Any], kind: inspect.Type, name: str) -> Any:
        shape = _pick(kind, inspect.StructType, inspect.DictType)
        if isinstance(shape, inspect.StructType):
            known = {field.encode_name: field.type for field in shape.fields}
            self._refuse_unknown(table, known, name)
            cleaned = {
                key: self._clean(table[key], known[key], _dotted(name, key)) for key in table
            }
            self._make(cleaned, shape.cls, name)
            return cleaned
        if isinstance(shape, inspect.DictType):
            return {
                key: self._clean(value, shape.value_type, _dotted(name, key))
                for key, value in table.items()
            }
        return {
            key: value.text if isinstance(value, EnvironmentText) else value
            for key, value in table.items()
        }

    def _refuse_unknown(
        self, table: Mapping[str, Any], known: Mapping[str, Any], name: str
    ) -> None:
        for key in table:
            if key not in known:
                path = _dotted(name, key)
                raise unknown_key(path, key, list(known), self.origin(path))

    def _decode(self, kind: type, value: Any) -> Any:
        if kind is Path and isinstance(value, str):
            return self.folder / Path(value).expanduser()
        if kind is Secret and isinstance(value, str):
            return Secret(self._resolve(value))
        return decode_secret(kind, value)

    def _resolve(self, text: str) -> str:
        """Follow `env:NAME` and `file:PATH` to the secret itself."""
        if text.startswith("env:"):
            variable = text.removeprefix("env:")
            if variable not in self.environ:
                raise ValueError(f"the environment variable {variable} is not set")
            return self.environ[variable]
        if text.startswith("file:"):
            path = self.folder / Path(text.removeprefix("file:")).expanduser()
            try:
                return path.read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                raise ValueError(f"the file {path} cannot be read: {reason}") from error
        return text


def unknown_key(path: str, key: str, known: list[str], where: str) -> SettingsError:
    """Say that a key means nothing here, and which one may have been meant."""
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        meant = f"{path[: -len(key)]}{close[0]}"
        remedy = f"Did you mean `{meant}`?"
    else:
        remedy = f"Known here: {', '.join(sorted(known)) or 'nothing'}."
    return SettingsError(
        name=path,
        problem="there is no such setting",
        where=where,
        remedy=f"{remedy} docs/reference/settings.md lists them all.",
    )


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _dotted(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _pick(kind: inspect.Type, *wanted: type[inspect.Type]) -> inspect.Type | None:
    """Find the member of a type, or of a union, that a table or a list is meant for."""
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return next((one for one in kinds if isinstance(one, wanted)), None)


def _read_text(text: str, kind: inspect.Type) -> Any:
    """Read an environment text: as it is where text is meant, as a TOML value elsewhere."""
    if _pick(
        kind, inspect.StrType, inspect.CustomType, inspect.LiteralType, inspect.AnyType
    ) or isinstance(kind, inspect.EnumType):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
