"""`plugins.lock`: which plugins are enabled, and exactly which files of theirs."""

from __future__ import annotations

import contextlib
import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import tomli_w

from quell.errors import SettingsError

__all__ = ["Lock", "LockEntry"]

HEADER = "# Written by `quell plugins enable` and `disable`. Keep it with the configuration file.\n"


class LockEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was decided about one plugin."""

    #: false switches off a plugin that comes with quell
    enabled: bool = True
    distribution: str = ""
    version: str = ""
    #: digest of its files when it was enabled; others are not imported
    hash: str = ""
    #: commands that it adds, with their summaries: shown in `--help` without importing it
    commands: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class LockFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file's shape."""

    plugin: dict[str, LockEntry] = msgspec.field(default_factory=dict[str, LockEntry])


@dataclass(frozen=True, slots=True)
class Lock:
    """The decisions on record. Changing gives a new value; `write` puts it on disk at once."""

    path: Path
    entries: Mapping[str, LockEntry] = field(default_factory=dict[str, LockEntry])

    @classmethod
    def read(cls, path: Path) -> Lock:
        """Read the file; a missing one decides nothing. Raises SettingsError where it is broken."""
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls(path)
        except (OSError, UnicodeDecodeError) as error:
            raise _broken(path, "cannot be read") from error
        try:
            found = msgspec.convert(tomllib.loads(text), LockFile)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise _broken(path, f"is broken: {error}") from error
        return cls(path, found.plugin)

    def deciding(self, name: str, entry: LockEntry) -> Lock:
        """Return a lock with one decision more, or another one."""
        return replace(self, entries={**self.entries, name: entry})

    def without(self, name: str) -> Lock:
        """Return a lock that says nothing about a plugin."""
        return replace(self, entries={key: one for key, one in self.entries.items() if key != name})

    def write(self) -> None:
        """Put the lock on disk, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".plugins.lock-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(self._text())
            Path(temporary).replace(self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise

    def _text(self) -> str:
        kept = {
            name: {
                key: value for key, value in msgspec.structs.asdict(entry).items() if value != ""
            }
            for name, entry in sorted(self.entries.items())
        }
        return HEADER + tomli_w.dumps({"plugin": kept})


def _broken(path: Path, problem: str) -> SettingsError:
    return SettingsError(
        name="plugins.lock",
        problem=problem,
        where=str(path),
        remedy="Take the file from your version control, or remove it and enable each plugin "
        "again: `quell plugins enable NAME`.",
    )
