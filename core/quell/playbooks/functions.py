"""The functions that expressions may call, with the types that they take and give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quell.playbooks.celtypes import (
    BOOL,
    FLOAT,
    INT,
    SPAN,
    TEXT,
    TIME,
    EnumType,
    ListType,
    LiteralText,
    MapType,
    Plain,
    StructType,
    Type,
)

__all__ = ["FUNCTIONS", "MACROS", "METHODS", "Signature", "accepts"]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes, how many of it are needed, and what it gives."""

    takes: tuple[str, ...]
    gives: Type
    needed: int | None = None

    @property
    def least(self) -> int:
        return len(self.takes) if self.needed is None else self.needed


#: `function(…)`; what is taken is named by the groups that `accepts` knows
FUNCTIONS: Mapping[str, Signature] = {
    "size": Signature(("sized",), INT),
    "names": Signature(("entities",), TEXT),
    "string": Signature(("scalar",), TEXT),
    "int": Signature(("scalar",), INT),
    "double": Signature(("scalar",), FLOAT),
    "timestamp": Signature(("text",), TIME),
    "duration": Signature(("text",), SPAN),
}

#: `text.function(…)`
METHODS: Mapping[str, Signature] = {
    "contains": Signature(("text",), BOOL),
    "startsWith": Signature(("text",), BOOL),
    "endsWith": Signature(("text",), BOOL),
    "matches": Signature(("text",), BOOL),
    "indexOf": Signature(("text",), INT),
    "lowerAscii": Signature((), TEXT),
    "upperAscii": Signature((), TEXT),
    "trim": Signature((), TEXT),
    "replace": Signature(("text", "text"), TEXT),
    "substring": Signature(("int", "int"), TEXT, needed=1),
    "split": Signature(("text",), ListType(TEXT)),
}

#: `list.macro(item, …)`: how many expressions follow the item's name
MACROS: Mapping[str, tuple[int, ...]] = {
    "all": (1,),
    "exists": (1,),
    "exists_one": (1,),
    "filter": (1,),
    "map": (1, 2),
}


def accepts(group: str, found: Type) -> bool:
    """Tell whether a value of this type can be given where a group is taken."""
    match found:
        case Plain(name="anything"):
            return True
        case LiteralText() | Plain(name="text"):
            return group in ("text", "sized", "scalar")
        case EnumType():
            return group == "scalar"
        case Plain(name="a whole number"):
            return group in ("int", "scalar")
        case Plain():
            return group == "scalar"
        case ListType(item=item):
            is_entities = item is None or (isinstance(item, StructType) and item.is_entity)
            return group == "sized" or (group == "entities" and is_entities)
        case MapType():
            return group == "sized"
        case _:
            return False


#: what to call a group in a message
GROUP_NAMES = {
    "sized": "text or a list",
    "entities": "a list of entities",
    "scalar": "a single value",
    "text": "text",
    "int": "a whole number",
}
