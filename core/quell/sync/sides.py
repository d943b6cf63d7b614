"""The sources of one tenant as the pure rules see them: what they are, and their mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from quell.domain.fields import SHARED
from quell.domain.hub import Hub, Link
from quell.domain.ids import SourceId
from quell.domain.incident import IncidentFields
from quell.domain.ports import IncidentSource
from quell.errors import NotFoundError

__all__ = ["FIELDS", "Part", "Sides"]

#: `detects` is where incidents begin; `mirrors` is where copies are made
Part = Literal["detects", "mirrors"]
#: every field that is decided between copies
FIELDS: tuple[str, ...] = SHARED


class Sides:
    """All sources, by id. Only their pure methods are used by rules."""

    def __init__(self, sources: Sequence[tuple[IncidentSource, Part]]) -> None:
        # where incidents begin comes first: its copies then find what they belong to
        ordered = sorted(sources, key=lambda item: item[1] != "detects")
        self._sources = {source.source_id: source for source, _ in ordered}
        self._parts: dict[SourceId, Part] = {source.source_id: part for source, part in ordered}

    def __iter__(self) -> Iterator[IncidentSource]:
        return iter(self._sources.values())

    def __getitem__(self, source_id: SourceId) -> IncidentSource:
        if source_id not in self._sources:
            raise NotFoundError(
                what="source", name=source_id, remedy="`quell config show` lists the sources."
            )
        return self._sources[source_id]

    def __contains__(self, source_id: object) -> bool:
        return source_id in self._sources

    def system(self, source_id: SourceId) -> str:
        """Tell which product a source is an instance of."""
        return self[source_id].system

    def is_mirror(self, source_id: SourceId) -> bool:
        """Tell whether copies are made there."""
        return self._parts.get(source_id) == "mirrors"

    def mirrors(self) -> list[IncidentSource]:
        """List the sources that copies can be made in."""
        return [one for one in self if self.is_mirror(one.source_id) and one.can_create]

    def with_copies(self) -> list[IncidentSource]:
        """List the sources that hold copies, whether or not they can be made there by us."""
        return [one for one in self if self.is_mirror(one.source_id)]

    def mirror(self, source_id: SourceId) -> IncidentSource:
        """Give a source that holds copies. Raises NotFoundError for any other."""
        for source in self.with_copies():
            if source.source_id == source_id:
                return source
        names = ", ".join(source.source_id for source in self.with_copies()) or "none"
        raise NotFoundError(
            what="source that copies are made in", name=source_id, remedy=f"There are: {names}."
        )

    def detects(self, hub: Hub) -> Link | None:
        """Find the copy in the product that the incident began in, if it is still there."""
        return next(
            (link for link in self.taking_part(hub) if not self.is_mirror(link.source_id)), None
        )

    def taking_part(self, hub: Hub) -> list[Link]:
        """List the links that are compared and written to."""
        return [
            link
            for link in hub.links
            if link.is_live and link.source_id in self and not self.is_left_out(hub, link)
        ]

    def is_left_out(self, hub: Hub, link: Link) -> bool:
        """Tell whether a copy is not kept in step: the filter leaves the incident alone."""
        is_synced = hub.routing is None or hub.routing.is_synced
        return not is_synced and self.is_mirror(link.source_id)

    def target(
        self, link: Link, name: str, fields: IncidentFields, native: Mapping[str, Any]
    ) -> Any:
        """Give the raw value that a field should have in a copy, where the copy has `native` now."""
        return self[link.source_id].project(name, fields, native)

    def stands(
        self, link: Link, name: str, fields: IncidentFields, native: Mapping[str, Any]
    ) -> bool:
        """Tell whether a raw value stands for the canonical one, as far as the product can hold it."""
        target, present = self.target(link, name, fields, native), native.get(name)
        if target == present:
            return True
        echo = link.echoes.get(name)
        # it was sent exactly this and made that of it: sending it again changes nothing
        return echo is not None and echo.sent == target and echo.got == present

    def writes(self, link: Link, name: str) -> bool:
        """Tell whether a field can be written in a copy."""
        return name in self[link.source_id].writable
