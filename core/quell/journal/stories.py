"""The story of one run: from the change that started it to its effects, with every moment.

For those who trace runs: states and times, and nothing of what an incident says.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.journal import tables as t
from quell.journal.runs import RunRef, RunRow, get
from quell.journal.writer import Question, Transaction

__all__ = ["Change", "EffectPart", "StepPart", "Story", "Try", "story"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The change of an incident that started a run."""

    origin: str
    source_id: str | None
    happened_at: datetime
    at: datetime
    matched_at: datetime | None


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a step, by one worker."""

    step_key: str
    attempt: int
    worker: str
    outcome: str
    started_at: datetime
    ended_at: datetime | None


class StepPart(msgspec.Struct, frozen=True, kw_only=True):
    """A step that was begun."""

    step_key: str
    state: str
    attempt: int
    started_at: datetime
    ended_at: datetime | None


class EffectPart(msgspec.Struct, frozen=True, kw_only=True):
    """An effect on one target."""

    effect_key: str
    step_key: str | None
    action: str
    system: str
    kind: str
    target_id: str
    target_kind: str
    state: str
    decided_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one run that has a time."""

    run: RunRow
    #: None for a run that a person ordered
    change: Change | None
    #: of the runs that the change started, this one tells about the change
    tells_of_change: bool
    steps: tuple[StepPart, ...]
    tries: tuple[Try, ...]
    effects: tuple[EffectPart, ...]


def story(ref: RunRef) -> Question[Story]:
    """Read the story of a run. Raises NotFoundError."""

    def ask(tx: Transaction) -> Story:
        run = get(ref)(tx)
        is_begun = t.steps.c.started_at.is_not(None)
        return Story(
            run=run,
            change=_change(tx, run),
            tells_of_change=_is_first(tx, run),
            steps=tuple(_rows(tx, StepPart, t.steps, _of_run(t.steps, ref), is_begun)),
            tries=tuple(_rows(tx, Try, t.attempts, _of_run(t.attempts, ref))),
            effects=tuple(_rows(tx, EffectPart, t.effects, _of_run(t.effects, ref))),
        )

    return ask


def _of_run(table: sa.Table, ref: RunRef) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.tenant_id == ref.tenant_id, table.c.run_id == ref.run_id)


def _rows(
    tx: Transaction, kind: type[msgspec.Struct], table: sa.Table, *where: sa.ColumnElement[bool]
) -> list[Any]:
    # its own columns only: bodies may be large, and are nobody's business here
    names: tuple[str, ...] = kind.__struct_fields__
    columns: list[sa.ColumnElement[Any]] = [table.c[name] for name in names]
    keys = list(table.primary_key.columns)
    rows = tx.execute(sa.select(*columns).where(*where).order_by(*keys))
    return [kind(**row) for row in rows.mappings()]


def _change(tx: Transaction, run: RunRow) -> Change | None:
    mine = sa.and_(
        t.revisions.c.tenant_id == run.tenant_id,
        t.revisions.c.incident_id == run.incident_id,
        t.revisions.c.revision == run.revision,
    )
    found: list[Change] = _rows(tx, Change, t.revisions, mine)
    return found[0] if found else None


def _is_first(tx: Transaction, run: RunRow) -> bool:
    runs = t.runs.c
    same = sa.and_(
        runs.tenant_id == run.tenant_id,
        runs.incident_id == run.incident_id,
        runs.revision == run.revision,
    )
    first = tx.execute(sa.select(sa.func.min(runs.id)).where(same)).scalar()
    return first is None or first == run.id
