"""Incidents read together: each run gets its own, and one that cannot be read fails alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from tests.engine_world import DEVICE, TENANT, World

from quell.domain.ids import IncidentId
from quell.domain.view import IncidentView
from quell.engine.views import Views
from quell.errors import NotFoundError
from quell.journal import Question, Transaction, Write
from quell.journal.tables import incidents

pytestmark = pytest.mark.anyio


async def test_those_wanted_at_one_moment_are_read_together_and_a_missing_one_fails_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    ids = [world.add_incident(DEVICE, name=f"inc{number}") for number in range(3)]
    views = Views(journal=world.journal, tenant_id=TENANT)
    asked: list[Question[Any]] = []
    ask = world.journal.ask

    async def note(question: Question[Any]) -> Any:
        asked.append(question)
        return await ask(question)

    monkeypatch.setattr(world.journal, "ask", note)

    # when
    wanted = [*ids, IncidentId("none"), ids[0]]
    found = await asyncio.gather(*(views.get(one) for one in wanted), return_exceptions=True)

    # then
    assert len(asked) == 1
    assert isinstance(found[3], NotFoundError)
    read = [one.id for one in found if isinstance(one, IncidentView)]
    assert read == [*ids, ids[0]]


async def test_one_that_cannot_be_read_keeps_no_other_from_being_read(world: World) -> None:
    # given
    ids = [world.add_incident(DEVICE, name=f"inc{number}") for number in range(3)]
    views = Views(journal=world.journal, tenant_id=TENANT)

    def spoil(tx: Transaction) -> None:
        mine = incidents.c.id == ids[1]
        tx.execute(sa.update(incidents).where(mine).values(fields={"severity": ["no", "word"]}))

    world.journal.commit_now(Write(spoil))

    # when
    found = await asyncio.gather(*(views.get(one) for one in ids), return_exceptions=True)

    # then
    assert [isinstance(one, IncidentView) for one in found] == [True, False, True]
