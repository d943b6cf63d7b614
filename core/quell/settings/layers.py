"""Where settings come from: one TOML file, then environment variables `QUELL__A__B`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from quell.errors import SettingsError

__all__ = [
    "EnvironmentText",
    "Layer",
    "environment_layer",
    "file_layer",
    "find_config",
    "is_table",
    "lock_path",
    "merge",
]

PREFIX = "QUELL__"
#: most of a configuration file that is read
SIZE_LIMIT = 1_048_576


@dataclass(frozen=True, slots=True)
class EnvironmentText:
    """A value as the environment has it; what it means depends on the setting's type."""

    text: str

    def __repr__(self) -> str:
        return "EnvironmentText(…)"


def is_table(value: Any) -> TypeGuard[dict[str, Any]]:
    """Tell whether a raw value is a table."""
    return isinstance(value, dict)


@dataclass(frozen=True, slots=True)
class Layer:
    """Values from one place, and what to call that place for each dotted name."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]


def find_config(chosen: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Find the configuration file: the one chosen, `QUELL_CONFIG`, `./quell.toml`, the user's."""
    named = chosen or (Path(environ["QUELL_CONFIG"]) if environ.get("QUELL_CONFIG") else None)
    if named is not None:
        return named.expanduser()
    places = [Path("quell.toml"), default_config()]
    return next((place for place in places if place.is_file()), None)


def default_config() -> Path:
    """Give the place of the user's own configuration file."""
    return Path("~/.config/quell/quell.toml").expanduser()


def lock_path(config: Path | None) -> Path:
    """Give the place of `plugins.lock`: beside the configuration file."""
    return (config or default_config()).absolute().parent / "plugins.lock"


def file_layer(path: Path) -> Layer:
    """Read a configuration file. Raises SettingsError with the line where it is not TOML."""
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise SettingsError(
            name="--config",
            problem=f"cannot be read: {error.strerror}",
            where=str(path),
            remedy="Name another file with --config, or write one with `quell config init`.",
        ) from error
    if len(content) > SIZE_LIMIT:
        raise _not_toml(path, "is larger than 1 MiB")
    try:
        values = tomllib.loads(content.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        raise _not_toml(path, "is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(path, f"is not TOML: {error}") from error
    return Layer(values, dict.fromkeys(leaves(values), str(path)))


def _not_toml(path: Path, problem: str) -> SettingsError:
    return SettingsError(
        name="the file", problem=problem, where=str(path), remedy="Mend the place named."
    )


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Read the variables that begin with `QUELL__`; two underscores stand between two keys."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        keys = variable[len(PREFIX) :].lower().split("__")
        _put(values, keys, EnvironmentText(environ[variable]), variable)
        origins[".".join(keys)] = f"environment {variable}"
    return Layer(values, origins)


def _put(values: dict[str, Any], keys: list[str], value: EnvironmentText, variable: str) -> None:
    place = values
    for key in keys[:-1]:
        inner = place.setdefault(key, {})
        if not is_table(inner):
            raise SettingsError(
                name=".".join(keys),
                problem=f"another variable already sets {key!r} as a whole",
                where=f"environment {variable}",
            )
        place = inner
    place[keys[-1]] = value


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one tree of values over another; tables are merged, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if is_table(under) and is_table(value):
            merged[key] = merge(under, value)
        else:
            merged[key] = value
    return merged


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """List the dotted names of everything that is not a table, and of empty tables."""
    for key, value in values.items():
        if is_table(value) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
