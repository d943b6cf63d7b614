"""Finds what an entity of Sentinel points to, in a list of resources or of an alert's flat objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quell_microsoft.lenient import first, items, mapping, text

__all__ = ["Known", "Raw", "learn", "pointed", "properties_of", "resolved"]

Raw = Mapping[str, Any]
#: entities by their ARM name, or by their number in the list, for those that point to others
Known = Mapping[str, Raw]
#: how deep entities stand in entities
DEPTH = 8


def properties_of(raw: Raw) -> Raw:
    """Give the properties of a resource; a flat object is its own."""
    return mapping(raw["properties"]) if "properties" in raw else raw


def learn(known: dict[str, Raw], raw: Raw, depth: int = 0) -> None:
    """Remember an entity by its name, or by its number in the list, and those that stand in it."""
    key = text(first(raw, "$id", "name"))
    if key is not None:
        known[key.lower()] = raw
    if depth < DEPTH:
        for part in raw.values():
            for one in items(part) or [part]:
                if "$id" in mapping(one):
                    learn(known, mapping(one), depth + 1)


def resolved(known: Known, raw: Raw) -> Raw:
    """Give the object that one of the form `{"$ref": …}` stands for; any other is itself."""
    return known.get((text(raw.get("$ref")) or "").lower(), raw)


def pointed(known: Known, value: Any) -> Raw:
    """Find the properties of an entity that another one points to, or that stands in it."""
    if isinstance(value, str):
        return mapping(known.get(value.lower(), {}).get("properties"))
    return properties_of(resolved(known, mapping(value)))
