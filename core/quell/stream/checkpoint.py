"""How far a table has been read, and which rows of the overlap were seen already. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

__all__ = ["SKEW", "Checkpoint"]

#: bytes of a key that are remembered: enough that no other row can be made to look seen
KEPT = 12
#: most keys that are remembered; rows beyond it are sent again, which their keys make harmless
MOST_KEPT = 50_000
#: how far our clock may be off from the product's, either way
SKEW = timedelta(hours=2)
#: keys are forgotten by stretches of this many seconds
STRETCH = 300


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint as the journal has it."""

    until: datetime
    #: the end of the last stretch that was asked for; may be later than what can be relied upon
    reached: datetime | None = None
    #: keys in base64 without separators, by the start of their stretch in seconds
    seen: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    version: int = 1


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Everything before `until` was read, as far as rows are not later than the overlap."""

    until: datetime
    #: the end of the last stretch that was asked for, for people
    reached: datetime
    #: remembered keys, by the start of the stretch that they were read for
    seen: dict[int, frozenset[bytes]] = msgspec.field(default_factory=dict[int, frozenset[bytes]])

    @classmethod
    def load(cls, text: str | None, start: datetime) -> Checkpoint:
        """Read a checkpoint; one that is missing or cannot be read begins at `start`."""
        try:
            stored = msgspec.json.decode((text or "").encode(), type=Stored)
            seen = {int(key): _keys(joined) for key, joined in stored.seen.items()}
        except (msgspec.DecodeError, UnicodeEncodeError, ValueError, binascii.Error):
            return cls.begin(start)
        if stored.version != 1 or stored.until.tzinfo is None:
            return cls.begin(start)
        reached = stored.reached or stored.until
        return cls(until=stored.until.astimezone(UTC), reached=reached, seen=seen)

    @classmethod
    def begin(cls, start: datetime) -> Checkpoint:
        """Give the checkpoint of a table that was never read."""
        return cls(until=start, reached=start)

    def dump(self) -> str:
        """Write the checkpoint."""
        seen = {
            str(start): base64.b64encode(b"".join(sorted(keys))).decode()
            for start, keys in self.seen.items()
        }
        return msgspec.json.encode(
            Stored(until=self.until, reached=self.reached, seen=seen)
        ).decode()

    def fresh(self, keys: Iterable[str]) -> set[str]:
        """Give those of the keys that were not seen."""
        known = frozenset[bytes]().union(*self.seen.values())
        return {key for key in keys if _short(key) not in known}

    def after(
        self, keys: Mapping[str, datetime], page_end: datetime, now: datetime, overlap: timedelta
    ) -> Checkpoint:
        """Give the checkpoint after rows with these keys and times were stored.

        It never moves back: a page may end inside the overlap. It goes by what rows say of the
        time rather than by our clock, which may be ahead of the product's; a row that claims to be
        of the future does not move it past our own time.
        """
        known = [moment for moment in keys.values() if moment <= now]
        moved = max(self.until, min(page_end, max([now - SKEW, *known])))
        oldest = _stretch(moved - overlap)
        seen = {start: set(found) for start, found in self.seen.items() if start >= oldest}
        for key, moment in keys.items():
            seen.setdefault(max(_stretch(moment), oldest), set()).add(_short(key))
        reached = max(self.reached, min(page_end, now))
        return Checkpoint(until=moved, reached=reached, seen=_bounded(seen))


def _bounded(seen: Mapping[int, set[bytes]]) -> dict[int, frozenset[bytes]]:
    kept: dict[int, frozenset[bytes]] = {}
    left = MOST_KEPT
    for start in sorted(seen, reverse=True):
        kept[start] = frozenset(sorted(seen[start])[:left])
        left -= len(kept[start])
    return kept


def _stretch(moment: datetime) -> int:
    return int(moment.timestamp()) // STRETCH * STRETCH


def _short(key: str) -> bytes:
    return bytes.fromhex(key)[:KEPT]


def _keys(joined: str) -> frozenset[bytes]:
    raw = base64.b64decode(joined, validate=True)
    if len(raw) % KEPT:
        raise ValueError("the keys of a checkpoint are cut")
    return frozenset(raw[at : at + KEPT] for at in range(0, len(raw), KEPT))
