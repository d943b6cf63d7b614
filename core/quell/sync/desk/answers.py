"""What becomes of a write: its answer, its refusal, or the silence after it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec

from quell.domain.hub import (
    Bounds,
    Conflict,
    Echo,
    Hub,
    IncidentWrite,
    Link,
    Shadow,
    Sighting,
    Step,
    WriteKind,
    WriteState,
    changed_fields,
)
from quell.domain.offers import Notice
from quell.domain.ports import ObservedIncident
from quell.sync.absorb.absorb import is_stale, revision_of, take
from quell.sync.plan import new_write, plan
from quell.sync.remarks import squeezed
from quell.sync.rules import Rules

__all__ = [
    "answered",
    "conflicted",
    "conflicts_of",
    "given_up",
    "is_shown",
    "parked",
    "postponed",
    "settled_by_look",
]

#: fields that only mean something together are written, and refused, together
TOGETHER = frozenset({"status", "verdict", "closing_comment"})
#: times that a write may come too late before others are given some time to finish
AT_ONCE = 4
#: longest wait before an uncertain or failing write is looked at again
LONGEST = timedelta(minutes=15)


def answered(
    hub: Hub,
    write: IncidentWrite,
    answer: ObservedIncident,
    rules: Rules,
    context: Sighting,
    *,
    is_guarded: bool,
) -> Step:
    """Take the answer to an update in: what we sent is confirmed, what else differs is news.

    So is what somebody made of what we sent before the answer was. A write that was guarded by a
    version token went over nothing that we had not read.
    """
    link = hub.link(write.link_id)
    if link is None:
        return Step(hub=hub)
    before = hub
    done = msgspec.structs.replace(
        write,
        state=WriteState.APPLIED,
        answer={name: answer.native.get(name) for name in write.intended},
    )
    hub = hub.with_write(done).with_link(_confirmed(hub, link, write, answer, rules, context.now))
    conflicts = () if is_guarded else _overwritten(write, answer)
    # what else is said in a copy of a merged incident is the winner's: the next look gives it that
    if hub.merged_into is None and not is_stale(link, answer):
        hub, more = take(hub, answer if is_guarded else without_stamp(answer), rules, context)
        hub, conflicts = _looked_at(hub, link.id, context.now), conflicts + more
    changes = dict(changed_fields(before.fields, hub.fields))
    return Step(
        hub=plan(hub, rules, context.now),
        revision=revision_of(before, changes, answer, context) if changes else None,
        conflicts=conflicts,
    )


def _looked_at(hub: Hub, link_id: str, now: datetime) -> Hub:
    """Keep that an answer is a look, too: what is changed after it knew of what was sent."""
    link = hub.link(link_id)
    return hub.with_link(msgspec.structs.replace(link, seen_at=now)) if link else hub


def without_stamp(seen: ObservedIncident) -> ObservedIncident:
    """Leave a reading of the fields alone unstamped, where no version says that it is all.

    The next poll takes a stamp that it does not know for a change, and reads the rest.
    """
    return seen if seen.etag else msgspec.structs.replace(seen, stamp="")


def _confirmed(
    hub: Hub,
    link: Link,
    write: IncidentWrite,
    answer: ObservedIncident,
    rules: Rules,
    now: datetime,
) -> Link:
    names = list(write.intended)
    theirs = [name for name in names if _is_theirs(hub, link, name, write, answer, rules)]
    got = {name: answer.native.get(name) for name in names}
    said = {name: getattr(answer.fields, name) for name in names}
    sent = {name: write.intended[name] for name in theirs}
    meant = {name: _meant(hub, link, name, answer) for name in theirs}
    echoes = {
        name: Echo(sent=write.intended[name], got=got[name]) for name in names if name not in theirs
    }
    return msgspec.structs.replace(
        link,
        shadow=_laid_over(link.shadow, got | sent, said | meant),
        observed=_laid_over(link.observed, got, said),
        echoes={**link.echoes, **echoes},
        bounds={**link.bounds, **{name: Bounds(since=now, after=link.seen_at) for name in names}},
    )


def _is_theirs(
    hub: Hub, link: Link, name: str, write: IncidentWrite, answer: ObservedIncident, rules: Rules
) -> bool:
    """Tell whether an answer shows somebody's change of what we sent, and not what became of it."""
    sent, got = write.intended[name], answer.native.get(name)
    if got == sent or got == link.shadow.native.get(name):
        return False  # a product that leaves a value as it was has not taken ours
    if name == "tags":
        return bool(answer.fields.tags - _known_tags(hub, link))
    if rules.sides.stands(link, name, hub.fields, answer.native):
        return False
    return not (_is_cut(sent, got) or _is_completed(sent, got))


def _is_cut(sent: Any, got: Any) -> bool:
    """Tell whether a text is what a product kept of a longer one, or made of its letters."""
    if not (isinstance(sent, str) and isinstance(got, str)):
        return False
    whole, part = squeezed(sent).casefold(), squeezed(got).casefold()
    return bool(part) and whole.startswith(part.rstrip("….").rstrip())


def _is_completed(sent: Any, got: Any) -> bool:
    """Tell whether a product has only filled in what was left open."""
    if not (isinstance(sent, dict) and isinstance(got, dict)):
        return False
    given = cast("dict[str, Any]", sent)
    whole = cast("dict[str, Any]", got)
    said = {name: value for name, value in given.items() if value is not None}
    return bool(said) and all(whole.get(name) == value for name, value in said.items())


def _meant(hub: Hub, link: Link, name: str, answer: ObservedIncident) -> Any:
    """Give the shared value that we sent, as far as the answer lets us know it."""
    if name == "tags":
        return answer.fields.tags & _known_tags(hub, link)
    return getattr(hub.fields, name)


def _known_tags(hub: Hub, link: Link) -> frozenset[str]:
    return hub.fields.tags | link.shadow.fields.tags


def _laid_over(shadow: Shadow, native: dict[str, Any], fields: dict[str, Any]) -> Shadow:
    return Shadow(native={**shadow.native, **native}, fields=shadow.fields.replace(fields))


def _overwritten(write: IncidentWrite, answer: ObservedIncident) -> tuple[Conflict, ...]:
    """Record what changed between our read and our write: the write may have gone over more of it."""
    base = write.base or {}
    return tuple(
        Conflict(
            field=name,
            kind="possible_overwrite",
            body={
                "read": before,
                "answered": answer.native.get(name),
                "sent": sorted(write.intended),
                "link": write.link_id,
                "by": answer.changed_by,
                "stamp": answer.stamp,
            },
        )
        for name, before in base.items()
        if name not in write.intended and answer.native.get(name) != before
    )


def is_shown(write: IncidentWrite, native: Mapping[str, Any]) -> bool:
    """Tell whether a copy shows all that a write intends."""
    return all(native.get(name) == raw for name, raw in write.intended.items())


def settled_by_look(hub: Hub, write: IncidentWrite, native: Mapping[str, Any]) -> Hub:
    """Settle a write that may have happened by what its copy shows now."""
    if is_shown(write, native):
        return hub.with_write(msgspec.structs.replace(write, state=WriteState.APPLIED))
    again = WriteState.PLANNED if write.kind is WriteKind.RETIRE else WriteState.SUPERSEDED
    return hub.with_write(
        msgspec.structs.replace(write, state=again, error="it did not arrive; planned afresh")
    )


def postponed(
    hub: Hub,
    write: IncidentWrite,
    error: str,
    now: datetime,
    *,
    seconds: float | None,
    is_sent: bool,
) -> Hub:
    """Try a write later; one that may have happened stays `sending` and is looked for first."""
    wait = timedelta(seconds=seconds) if seconds is not None else _backoff(write.attempts)
    return hub.with_write(
        msgspec.structs.replace(
            write,
            state=WriteState.SENDING if is_sent else WriteState.PLANNED,
            attempts=write.attempts + 1,
            not_before=now + wait,
            error=error,
        )
    )


def conflicted(hub: Hub, write: IncidentWrite, now: datetime, error: str = "") -> Hub:
    """Take in that a write came too late: nothing was written, and our version token is stale.

    Without a token the copy is read before the next try.
    """
    link = hub.link(write.link_id)
    if link is not None:
        hub = hub.with_link(msgspec.structs.replace(link, etag=""))
    conflicts = conflicts_of(write) + 1
    wait = timedelta() if conflicts < AT_ONCE else _backoff(conflicts)
    return hub.with_write(
        msgspec.structs.replace(
            write,
            state=WriteState.PLANNED,
            attempts=write.attempts + 1,
            answer={"conflicts": conflicts},
            not_before=now + wait,
            error=error or write.error,
        )
    )


def conflicts_of(write: IncidentWrite) -> int:
    """Count how often a write has come too late."""
    return int((write.answer or {}).get("conflicts", 0))


def _backoff(attempts: int) -> timedelta:
    return min(timedelta(seconds=2 * 2 ** min(attempts, 16)), LONGEST)


def parked(hub: Hub, write: IncidentWrite, error: str, now: datetime) -> Step:
    """Give up on what the product refuses; of several fields, first find out which it is."""
    parts = _parts(write)
    if len(parts) > 1:
        hub = hub.with_write(
            msgspec.structs.replace(write, state=WriteState.SUPERSEDED, error=error)
        )
        for part in parts:
            alone = msgspec.structs.replace(_part(hub, write, part, now), error=error)
            hub = hub.with_write(alone)
        return Step(hub=hub)
    return given_up(hub, write, error)


def given_up(hub: Hub, write: IncidentWrite, error: str) -> Step:
    """Leave a write to a person, as a whole."""
    stopped = msgspec.structs.replace(write, state=WriteState.PARKED, error=error)
    return Step(hub=hub.with_write(stopped), notices=(_notice(hub, write, error),))


def _parts(write: IncidentWrite) -> list[dict[str, Any]]:
    if write.kind is not WriteKind.UPDATE:
        return [write.intended]
    together = {name: raw for name, raw in write.intended.items() if name in TOGETHER}
    alone = [{name: raw} for name, raw in write.intended.items() if name not in TOGETHER]
    return [*alone, together] if together else alone


def _part(hub: Hub, write: IncidentWrite, part: dict[str, Any], now: datetime) -> IncidentWrite:
    return new_write(
        hub,
        link=hub.link(write.link_id),
        source_id=write.source_id,
        kind=write.kind,
        key=f"{write.key}/{'+'.join(sorted(part))}",
        intended=part,
        now=now,
        caused_by=write.caused_by,
    )


def _notice(hub: Hub, write: IncidentWrite, error: str) -> Notice:
    what = ", ".join(sorted(write.intended)) if write.kind is WriteKind.UPDATE else write.kind.value
    return Notice(
        kind="parked",
        tenant_id=hub.tenant_id,
        summary=f"A write to {write.source_id} was refused and is parked ({what}): {error}",
        references={"incident": hub.id, "write": write.id},
    )
