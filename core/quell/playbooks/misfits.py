"""What of a playbook does not fit the schema, told in plain words and at the right place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from quell.playbooks.document import Document, Path
from quell.playbooks.jsondata import is_mapping
from quell.playbooks.source import Place, one_of, quote, suggest

__all__ = ["Misfit", "explain"]

TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}
#: rules for which the schema may have its own words, under `errorMessage`
WORDED = frozenset({"const", "pattern", "maxLength", "oneOf"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """One error of the validator, as far as we look at it."""

    path: Path
    #: the schema's keyword, and what it asks for
    rule: str
    needs: Any
    #: the value that does not fit, and the schema it stands under
    found: Any
    schema: Mapping[str, Any]
    #: whether the value is a key
    is_key: bool

    @classmethod
    def of(cls, error: Any) -> Misfit:
        """Read a jsonschema ValidationError, whose stubs leave its parts open."""
        schema = error.schema if is_mapping(error.schema) else {}
        return cls(
            path=tuple(error.absolute_path),
            rule=str(error.validator),
            needs=error.validator_value,
            found=error.instance,
            schema=schema,
            is_key="propertyNames" in error.absolute_schema_path,
        )

    def unknown_keys(self) -> list[str]:
        """List the keys that the schema does not know."""
        known = self.schema.get("properties", {})
        return [key for key in self.found if key not in known]


def explain(misfit: Misfit, document: Document) -> Iterator[tuple[Place, str]]:
    """Give the places and texts of one misfit."""
    place = document.place(misfit.path)
    if misfit.is_key:
        place = document.key_place((*misfit.path, misfit.found))
    own = _own_words(misfit)
    if own is not None:
        yield place, own
    elif misfit.rule == "additionalProperties":
        yield from _unknown_keys(misfit, document)
    elif misfit.rule == "dependentRequired":
        yield from _dependent(misfit, document)
    else:
        word = WORDS.get(misfit.rule)
        yield place, word(misfit) if word else f"does not fit the language ({misfit.rule})"


def _own_words(misfit: Misfit) -> str | None:
    text = misfit.schema.get("errorMessage") if misfit.rule in WORDED else None
    if text is None or not isinstance(misfit.found, str):
        return text
    return f"{quote(misfit.found)}: {text}"


def _unknown_keys(misfit: Misfit, document: Document) -> Iterator[tuple[Place, str]]:
    known = list(misfit.schema.get("properties", {}))
    for key in misfit.unknown_keys():
        hint = suggest(key, known) or f"; known here: {one_of(known)}"
        yield document.key_place((*misfit.path, key)), f"unknown key {quote(key)}{hint}"


def _dependent(misfit: Misfit, document: Document) -> Iterator[tuple[Place, str]]:
    for key, needed in misfit.needs.items():
        missing = [name for name in needed if name not in misfit.found]
        if key in misfit.found and missing:
            place = document.key_place((*misfit.path, key))
            yield place, f"`{key}` needs {' and '.join(f'`{name}`' for name in missing)} beside it"


def _type(misfit: Misfit) -> str:
    return f"expected {TYPES[str(misfit.needs)]}, found {_kind(misfit.found)}"


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "true or false"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case _:
            return "nothing"


def _enum(misfit: Misfit) -> str:
    known = [str(value) for value in misfit.needs]
    if not isinstance(misfit.found, str):
        return f"expected one of {one_of(known)}, found {_kind(misfit.found)}"
    return f"{quote(misfit.found)} is not one of {one_of(known)}{suggest(misfit.found, known)}"


def _required(misfit: Misfit) -> str:
    missing = [name for name in misfit.needs if name not in misfit.found]
    return f"missing {' and '.join(f'`{name}`' for name in missing)}"


WORDS: dict[str, Callable[[Misfit], str]] = {
    "type": _type,
    "enum": _enum,
    "required": _required,
    "minItems": lambda misfit: f"at least {misfit.needs} item is needed",
    "maxItems": lambda misfit: f"at most {misfit.needs} items are allowed",
    "uniqueItems": lambda misfit: "the same item is written twice",
    "minLength": lambda misfit: "this text is empty",
    "maxLength": lambda misfit: f"at most {misfit.needs} characters are allowed",
    "minimum": lambda misfit: f"must be at least {misfit.needs}",
    "maximum": lambda misfit: f"must be at most {misfit.needs}",
    "maxProperties": lambda misfit: f"at most {misfit.needs} entries are allowed",
}
