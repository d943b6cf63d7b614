"""YAML read event by event into JSON data, with the place of every key and value.

Events rather than nodes: nothing nests deeper than we allow, and aliases (which grow when
walked), tags, merge keys and second documents are refused where they stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from quell.playbooks.scalars import ScalarError, resolve_plain
from quell.playbooks.source import START, Place, Problems, end_of, quote
from quell.playbooks.spelling import Spelling

__all__ = ["Document", "Path", "read_document"]

MAX_NODES = 20_000
MAX_DEPTH = 32

#: keys and indexes from the document's root
Path = tuple[str | int, ...]


@dataclass(slots=True)
class Document:
    """The data of a playbook file and where each part of it is written."""

    data: Any = None
    values: dict[Path, Place] = field(default_factory=dict[Path, Place])
    keys: dict[Path, Place] = field(default_factory=dict[Path, Place])
    spellings: dict[Path, Spelling] = field(default_factory=dict[Path, Spelling])

    def place(self, path: Path) -> Place:
        """Find where a value is written, or the nearest part around it that is."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, START)

    def key_place(self, path: Path) -> Place:
        """Find where a key is written; the value's place where there is no key."""
        return self.keys.get(path) or self.place(path)

    def place_in(self, path: Path, offset: int) -> Place:
        """Find where a character of a text value is written."""
        spelling = self.spellings.get(path)
        return spelling.place(offset) if spelling else self.place(path)


class _Stop(Exception):
    """Reading cannot go on; the problem is noted."""


class _Reader:
    """Turns the parser's events into data, noting places and problems as it goes."""

    def __init__(self, text: str, problems: Problems) -> None:
        self.text = text
        self.problems = problems
        self.document = Document()
        self.nodes = 0
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=yaml.CSafeLoader))

    def read(self) -> Document:
        """Read the one document; problems found on the way stay in `problems`."""
        try:
            self._read_stream()
        except _Stop:
            pass
        except yaml.MarkedYAMLError as error:
            self._note_syntax(error)
        except yaml.YAMLError:
            self.problems.add(START, "this is not YAML")
        return self.document

    def _read_stream(self) -> None:
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if self.nodes:
                    self._stop(event, "a file holds one playbook; remove the second document")
                self.document.data = self._value((), next(self.events), 1)
        if not self.nodes:
            self.problems.add(START, "the file is empty")

    def _value(self, path: Path, event: Any, depth: int) -> Any:
        self._note_node(path, event, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(path, event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        return self._mapping(path, depth)

    def _note_node(self, path: Path, event: Any, depth: int) -> None:
        self.nodes += 1
        self.document.values[path] = _place(event)
        if self.nodes > MAX_NODES:
            self._stop(event, f"more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH}")
        if event.anchor:  # an alias is an event with nothing but an anchor
            self._stop(event, "anchors and aliases are not part of the playbook language")
        if getattr(event, "tag", None) not in (None, "!"):
            self._stop(event, "tags are not part of the language; quote a text that begins with !")

    def _scalar(self, path: Path, event: Any) -> Any:
        value: str = event.value
        self.document.spellings[path] = Spelling(self.text, event, value)
        if not event.implicit[0]:
            return value
        try:
            return resolve_plain(value)
        except ScalarError as error:
            self.problems.add(_place(event), f"{quote(value)}: {error}")
            return None

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._value((*path, len(items)), event, depth + 1))
        return items

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event)
            inner = (*path, key)
            if key in entries:
                # the second one is still read, so that later events fall into place
                self.problems.add(_place(event), f"the key {quote(key)} is written twice")
            self.document.keys[inner] = _place(event)
            entries[key] = self._value(inner, next(self.events), depth + 1)
        return entries

    def _key(self, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._stop(event, "a key must be a word")
        if event.anchor or (event.tag and event.tag != "!"):
            self._stop(event, "anchors and tags are not part of the playbook language")
        return str(event.value)

    def _stop(self, event: Any, text: str) -> None:
        self.problems.add(_place(event), text)
        raise _Stop

    def _note_syntax(self, error: yaml.MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        last = end_of(self.text)
        place = Place(mark.line + 1, mark.column + 1) if mark else START
        text = error.problem or "this is not YAML"
        if error.context:
            text = f"{text} ({error.context})"
        self.problems.add(min(place, last), f"YAML: {text}")


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def read_document(text: str, problems: Problems) -> Document:
    """Read checked text; `data` is None where nothing could be read."""
    return _Reader(text, problems).read()
