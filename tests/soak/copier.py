"""The vendor's own connector: it makes copies, late, and keeps some fields of them equal."""

from __future__ import annotations

from datetime import timedelta

from tests.soak.products import LiveDetector, LiveMirror, MirrorRecord, shown
from tests.sync_model import FIELDS

from quell.domain.incident import Status

__all__ = ["CARRIED", "Copier"]

#: what it carries from where incidents begin, and what back as well
CARRIED = frozenset({"title", "severity", "status", "owner", "verdict"})
BOTH_WAYS = frozenset({"status", "owner", "verdict"})


class Copier:
    """Copies the detector's incidents into a mirror. It knows nothing of anybody else."""

    def __init__(self, origin: LiveDetector, mirror: LiveMirror, lag: timedelta) -> None:
        self._origin = origin
        self._mirror = mirror
        self._lag = lag
        self._pairs: dict[str, str] = {}
        self._last: dict[tuple[str, str], str] = {}

    def work(self) -> int:
        """Go once through everything; gives how much there was to do."""
        done = 0
        for native_id, record in list(self._origin.records.items()):
            if native_id not in self._pairs:
                if record.created <= self._origin.clock.now() - self._lag:
                    self._make(native_id)
                    done += 1
            elif self._pairs[native_id] in self._mirror.records:
                done += self._carry(native_id, self._pairs[native_id])
        return done

    def _make(self, native_id: str) -> None:
        copy, now = f"vendors-{native_id}", self._mirror.clock.now()
        fields = self._origin.fields_of(native_id).replace({"tags": frozenset()})
        self._mirror.records[copy] = MirrorRecord(
            native=self._mirror.to_native(fields),
            created=now,
            changed=now,
            counterpart=(self._origin.system, native_id),
            proofs=frozenset({f"{self._origin.system}:{native_id}"}),
        )
        self._mirror.write_down(copy, dict.fromkeys(FIELDS), "copier")
        self._pairs[native_id] = copy
        for name in CARRIED:
            self._last[native_id, name] = shown(name, fields)

    def _carry(self, native_id: str, copy: str) -> int:
        if self._origin.records[native_id].merged_into is not None:
            return self._close(copy)
        return sum(self._carry_field(native_id, copy, name) for name in sorted(CARRIED))

    def _carry_field(self, native_id: str, copy: str, name: str) -> int:
        here, there = self._origin.fields_of(native_id), self._mirror.fields_of(copy)
        last, own, other = self._last[native_id, name], shown(name, here), shown(name, there)
        if own == other:
            self._last[native_id, name] = own
            return 0
        if own != last:
            self._mirror.put(copy, {name: getattr(here, name)}, "copier")
            self._last[native_id, name] = own
            return 1
        if name in BOTH_WAYS:
            self._origin.put(native_id, {name: getattr(there, name)}, "copier")
            self._last[native_id, name] = other
            return 1
        return 0

    def _close(self, copy: str) -> int:
        if self._mirror.fields_of(copy).status is Status.CLOSED:
            return 0
        self._mirror.put(copy, {"status": Status.CLOSED}, "copier")
        return 1
