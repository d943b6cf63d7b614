"""Runs, their steps and effects: the states they can be in and the moves between them.

Each enum has one table of moves; the journal's guarded updates and CHECK constraints and
the diagrams in the documentation come from these, and no other statement writes a state.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

__all__ = [
    "EFFECT_MOVES",
    "RUN_MOVES",
    "EffectState",
    "RunState",
    "StepState",
    "TargetResult",
    "sources_of",
]

StateT = TypeVar("StateT", bound=StrEnum)


class RunState(StrEnum):
    """Where a run stands."""

    #: found by the sweep, waiting for a worker
    QUEUED = "queued"
    #: a worker holds its lease
    RUNNING = "running"
    #: holds nothing; `wake_at`, an answer or an operation brings it back
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: taken over too often without progress; a person looks at it
    PARKED = "parked"

    @property
    def is_final(self) -> bool:
        """Tell whether nothing moves it any more (parked runs can be resumed by a person)."""
        return self in {RunState.DONE, RunState.FAILED, RunState.CANCELLED}


RUN_MOVES: Mapping[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED, RunState.PARKED}),
    RunState.RUNNING: frozenset(
        {
            RunState.RUNNING,
            RunState.QUEUED,
            RunState.WAITING,
            RunState.DONE,
            RunState.FAILED,
            RunState.CANCELLED,
            RunState.PARKED,
        }
    ),
    RunState.WAITING: frozenset({RunState.QUEUED, RunState.RUNNING, RunState.CANCELLED}),
    RunState.PARKED: frozenset({RunState.QUEUED, RunState.CANCELLED}),
    RunState.DONE: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.CANCELLED: frozenset(),
}


class StepState(StrEnum):
    """Where a step of a run stands."""

    PENDING = "pending"
    #: waits for an answer, a time or a vendor operation
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def is_settled(self) -> bool:
        """Tell whether the step's results are final."""
        return self in {StepState.DONE, StepState.FAILED, StepState.SKIPPED}


class EffectState(StrEnum):
    """Where one effect on one target stands."""

    #: written down, not known to be sent
    INTENDED = "intended"
    #: the vendor works on it
    PENDING = "pending"
    DONE = "done"
    #: the state was there already: a hold was added and nothing was sent
    ALREADY = "already"
    #: the guard or a person said no
    DENIED = "denied"
    FAILED = "failed"
    #: it may have happened; a person decides
    UNKNOWN = "unknown"

    @property
    def is_settled(self) -> bool:
        """Tell whether the engine is done with it."""
        return self not in {EffectState.INTENDED, EffectState.PENDING}


EFFECT_MOVES: Mapping[EffectState, frozenset[EffectState]] = {
    EffectState.INTENDED: frozenset(
        {
            EffectState.PENDING,
            EffectState.DONE,
            EffectState.ALREADY,
            EffectState.DENIED,
            EffectState.FAILED,
            EffectState.UNKNOWN,
        }
    ),
    EffectState.PENDING: frozenset({EffectState.DONE, EffectState.FAILED, EffectState.UNKNOWN}),
    # a person, or a later look at the vendor, settles what could not be known
    EffectState.UNKNOWN: frozenset({EffectState.DONE, EffectState.FAILED}),
    EffectState.DONE: frozenset(),
    EffectState.ALREADY: frozenset(),
    EffectState.DENIED: frozenset(),
    EffectState.FAILED: frozenset(),
}


class TargetResult(StrEnum):
    """In which of a step's result lists a target ends up."""

    DONE = "done"
    ALREADY = "already"
    DENIED = "denied"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


def sources_of(moves: Mapping[StateT, frozenset[StateT]], to: StateT) -> frozenset[StateT]:
    """Turn a table of moves round: from where can `to` be reached?"""
    return frozenset(state for state, targets in moves.items() if to in targets)
