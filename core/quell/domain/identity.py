"""Tells which known entity an observed one is, by its strong names. Pure.

Names of one scheme rank above another's where they are surer: two accounts that share a sign-in
name and differ in their object id are two accounts. Weak names never decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from quell.domain.entity import Alias, EntityKind
from quell.domain.ids import EntityId

__all__ = ["Match", "completed", "match"]

StructT = TypeVar("StructT", bound=msgspec.Struct)

#: surest scheme first; kinds that are not listed have one scheme or cannot disagree
AUTHORITY: Mapping[EntityKind, tuple[str, ...]] = {
    EntityKind.USER: ("entra_user", "ad_object", "sid", "upn"),
    EntityKind.DEVICE: ("mde", "entra_device", "azure_resource"),
    EntityKind.SECURITY_GROUP: ("entra_group", "ad_object", "sid"),
    EntityKind.OAUTH_APPLICATION: ("oauth_object", "oauth_app"),
    EntityKind.FILE: ("sha256", "sha1"),
}


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """What an observed entity turns out to be."""

    #: the known entity that it is; None for a new one
    is_known: EntityId | None = None
    #: known entities that turn out to be the same and become aliases of `is_known`
    joined: tuple[EntityId, ...] = ()
    #: names that belong to somebody else and are not taken over
    foreign: frozenset[Alias] = frozenset()


def match(
    kind: EntityKind,
    names: Sequence[Alias],
    known: Mapping[EntityId, Sequence[Alias]],
) -> Match:
    """Match strong names against the entities, oldest first, that carry any of them."""
    strong = frozenset(name for name in names if name.is_strong)
    own = set(strong)
    same: list[EntityId] = []
    foreign: set[Alias] = set()
    for entity_id, theirs in known.items():
        shared = strong.intersection(theirs)
        if not shared:
            continue
        if _disagree(kind, own, theirs):
            foreign |= shared
        else:
            same.append(entity_id)
            own |= {name for name in theirs if name.is_strong}
    if not same:
        return Match(foreign=frozenset(foreign))
    return Match(is_known=same[0], joined=tuple(same[1:]), foreign=frozenset(foreign))


def _disagree(kind: EntityKind, own: set[Alias], theirs: Sequence[Alias]) -> bool:
    """Tell whether two sets of names differ in the surest scheme that both have."""
    for scheme in AUTHORITY.get(kind, ()):
        mine = {name.value for name in own if name.kind == scheme and name.is_strong}
        others = {name.value for name in theirs if name.kind == scheme and name.is_strong}
        if mine and others:
            return not mine & others
    return False


def completed(known: StructT, seen: StructT) -> StructT:
    """Lay what was just seen over what is known; what it does not say stays."""
    said = {
        name: value
        for name in seen.__struct_fields__
        if (value := getattr(seen, name)) not in (None, "", ())
    }
    return msgspec.structs.replace(known, **said)
