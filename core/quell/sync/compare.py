"""Reads the products afresh and says where copies disagree, field by field through the mapping.

It trusts the journal only for which copy belongs to which incident.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from quell.domain.hub import Hub, Link
from quell.domain.ids import SourceId
from quell.domain.incident import IncidentFields
from quell.domain.ports import IncidentSource, ObservedIncident
from quell.errors import AnswerNotFound
from quell.journal import hubs, links
from quell.sync.absorb.reconcile import plain
from quell.sync.bench import Bench
from quell.sync.compare_tasks import task_gaps
from quell.sync.derive import WRITTEN, derived, is_stale
from quell.sync.reading.clean import cleaned
from quell.sync.reading.poll import close_pages
from quell.sync.remarks import keys_in
from quell.sync.rules import Rules
from quell.sync.sides import FIELDS

__all__ = ["Comparison", "Disagreement", "compare"]


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that two copies of an incident do not have in common."""

    incident_id: str
    #: where the copy is that differs
    source_id: SourceId
    native_id: str
    field: str
    #: what the product has in which the incident began, and what the copy has
    origin: Any = None
    copy: Any = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison came to."""

    #: incidents and copies that were both read and compared
    pairs: int
    disagreements: tuple[Disagreement, ...]


async def compare(bench: Bench) -> Comparison:
    """Compare every incident with its copies. Raises ConnectorError where a product fails."""
    pairs = 0
    found: list[Disagreement] = []
    for source in bench.sides:
        if bench.sides.is_mirror(source.source_id):
            continue
        for native_id in await _listed(source):
            compared, differing = await _compare_one(bench, source, native_id)
            pairs += compared
            found += differing
    return Comparison(pairs=pairs, disagreements=tuple(found))


async def _listed(source: IncidentSource) -> list[str]:
    ids: dict[str, None] = {}
    pages = source.poll(None)
    try:
        async for page in pages:
            ids.update(dict.fromkeys(one.native_id for one in page.incidents))
    finally:
        await close_pages(pages)
    return list(ids)


async def _compare_one(
    bench: Bench, source: IncidentSource, native_id: str
) -> tuple[int, list[Disagreement]]:
    question = links.find(bench.tenant_id, source.source_id, native_id)
    link = await bench.journal.ask(question)
    if link is None:
        missing = Disagreement(
            incident_id="", source_id=source.source_id, native_id=native_id, field="incident"
        )
        return 0, [missing]
    hub = await bench.journal.ask(hubs.get(bench.tenant_id, link.incident_id))
    if hub.merged_into is not None or not link.is_live:
        return 0, []
    origin = cleaned(await source.fetch(native_id))
    pairs = 0
    found: list[Disagreement] = []
    looks: dict[str, tuple[Link, ObservedIncident]] = {link.id: (link, origin)}
    together = bench.sides.taking_part(hub)
    for mirror in bench.sides.mirrors():
        there = [one for one in hub.links if one.source_id == mirror.source_id]
        live = [one for one in there if one in together]
        if not there and bench.routes.sends(hub, mirror.source_id):
            found.append(_gap(hub, mirror.source_id, "", "copy"))
        for copy in live:
            pairs += 1
            try:
                seen = cleaned(await mirror.fetch(copy.native_id))
            except AnswerNotFound:
                found.append(_gap(hub, copy.source_id, copy.native_id, "copy"))
                continue
            looks[copy.id] = (copy, seen)
            found += _compare_copy(bench, hub, link, origin, copy, seen)
    return pairs, [*found, *_tasks(hub, looks, await bench.rules())]


def _compare_copy(
    bench: Bench,
    hub: Hub,
    link: Link,
    origin: ObservedIncident,
    copy: Link,
    seen: ObservedIncident,
) -> list[Disagreement]:
    return [
        *_fields(bench, hub, link, origin, copy, seen),
        *_activity(bench, hub, origin, copy, seen),
        *_comments(hub, link, origin, copy, seen),
        *_alerts(hub, origin, copy, seen),
    ]


def _fields(
    bench: Bench,
    hub: Hub,
    link: Link,
    origin: ObservedIncident,
    copy: Link,
    seen: ObservedIncident,
) -> Iterator[Disagreement]:
    sides = bench.sides
    for name in FIELDS:
        if name in bench.policy.ignored or not sides.writes(copy, name):
            continue
        # a product that cannot hold all of the other's value agrees as far as it can
        agrees = sides.stands(copy, name, origin.fields, seen.native) or (
            sides.writes(link, name) and sides.stands(link, name, seen.fields, origin.native)
        )
        if not agrees:
            yield _gap(
                hub,
                copy.source_id,
                copy.native_id,
                name,
                plain(getattr(origin.fields, name)),
                plain(getattr(seen.fields, name)),
            )


def _activity(
    bench: Bench, hub: Hub, origin: ObservedIncident, copy: Link, seen: ObservedIncident
) -> Iterator[Disagreement]:
    """Compare when it began and went on; a copy may be as far behind as is not worth a write."""
    if not copy.is_ours or not origin.alerts:
        return
    expected = derived(IncidentFields(), origin.alerts, is_whole=True)
    for name in WRITTEN:
        wanted = getattr(expected, name)
        if wanted is None or name in bench.policy.ignored or not bench.sides.writes(copy, name):
            continue
        stands = bench.sides.stands(copy, name, expected, seen.native)
        if not stands and is_stale(expected, seen.fields, name):
            there = plain(getattr(seen.fields, name))
            yield _gap(hub, copy.source_id, copy.native_id, name, plain(wanted), there)


def _tasks(
    hub: Hub, looks: Mapping[str, tuple[Link, ObservedIncident]], rules: Rules
) -> Iterator[Disagreement]:
    for gap in task_gaps(hub, looks, rules):
        link = gap.link
        yield _gap(hub, link.source_id, link.native_id, "tasks", gap.there, gap.here)


def _comments(
    hub: Hub, link: Link, origin: ObservedIncident, copy: Link, seen: ObservedIncident
) -> Iterator[Disagreement]:
    for one, there, other, here in (
        (origin, seen, copy, link),
        (seen, origin, link, copy),
    ):
        keys = {comment.key for comment in there.comments or ()}
        marks = {key for comment in there.comments or () for key in keys_in(comment.text)}
        for comment in one.comments or ():
            known = next(
                (
                    known
                    for known in hub.comments
                    if any(part.native_key == comment.key for part in known.copy_in(here.id))
                ),
                None,
            )
            parts = known.copy_in(other.id) if known else ()
            is_there = bool(parts) and all(
                part.native_key in keys or part.copy_key in marks for part in parts
            )
            is_for_one = known is not None and known.kind != "comment"
            if not is_there and not is_for_one:
                yield _gap(hub, other.source_id, other.native_id, "comments", comment.key)


def _alerts(
    hub: Hub, origin: ObservedIncident, copy: Link, seen: ObservedIncident
) -> Iterator[Disagreement]:
    if not copy.is_ours:
        return
    told = "\n".join(comment.text for comment in seen.comments or ())
    for alert in origin.alerts or ():
        if alert.id not in told:
            yield _gap(hub, copy.source_id, copy.native_id, "alerts", alert.id)


def _gap(
    hub: Hub,
    source_id: SourceId,
    native_id: str,
    field: str,
    origin: Any = None,
    copy: Any = None,
) -> Disagreement:
    return Disagreement(
        incident_id=hub.id,
        source_id=source_id,
        native_id=native_id,
        field=field,
        origin=origin,
        copy=copy,
    )
