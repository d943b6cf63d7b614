"""What people are told of, and what is on record of what they decided, in every journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.sync_model import ManualClock
from tests.sync_world import TENANT as SYNCED
from tests.sync_world import World

from quell.domain.ids import SourceId, TenantId, WorkerId
from quell.errors import RequestRefused
from quell.journal import (
    Journal,
    Transaction,
    Write,
    audit,
    cursors,
    event_batches,
    incident_writes,
    notices,
    sync_switches,
)
from quell.journal.event_batches import NewBatch

pytestmark = pytest.mark.anyio

TENANT, SOURCE, CHAIN = TenantId("acme"), SourceId("house"), WorkerId("w1")


@pytest.fixture
def world(journal: Journal) -> World:
    """Give two products and a journal of each kind in turn."""
    return World(journal, ManualClock())


def park_together(names: Sequence[str]) -> Write[None]:
    def apply(tx: Transaction) -> None:
        for name in names:
            cursors.park_item(tx, TENANT, SOURCE, name, "unreadable")

    return Write(apply, locks=("cursor", TENANT, SOURCE))


async def summaries(journal: Journal) -> list[str]:
    return [one.notice.summary for one in await journal.ask(notices.unsent(TENANT, limit=500))]


async def on_record(journal: Journal, tenant: TenantId) -> list[tuple[str, str, dict[str, Any]]]:
    found = await journal.ask(audit.listed(tenant))
    return [(one.actor, one.action, dict(one.body)) for one in found]


async def test_a_few_parked_items_are_told_of_one_by_one(
    open_journal: Callable[[], Journal],
) -> None:
    journal = open_journal()

    await journal.commit(park_together(["1", "2", "3"]))

    assert len(await summaries(journal)) == 3


async def test_of_many_parked_items_people_are_told_how_many_more_there_are(
    open_journal: Callable[[], Journal],
) -> None:
    # given
    journal = open_journal()

    # when
    await journal.commit(park_together([f"alert:{number}" for number in range(200)]))
    await journal.commit(park_together(["alert:7", "8"]))

    # then
    told = await summaries(journal)
    (rest,) = [one for one in told if "more of" in one]
    assert rest.startswith("197 more of house")
    assert len(told) == 5  # three of the many, the rest of them, and the one that came later
    assert len(await journal.ask(cursors.listed_items(TENANT))) == 201


async def test_who_gave_up_refused_events_is_on_record_and_what_came_to_nothing_is_not(
    open_journal: Callable[[], Journal],
) -> None:
    # given
    journal = open_journal()
    batch = NewBatch(id="1", sink_id="store", stream="S", body=b"x", rows=2, size=10)
    await journal.commit(event_batches.store(TENANT, SourceId("events/x"), 0, "a", [batch]))
    (stored,) = await journal.ask(event_batches.due(TENANT, "store", limit=5))
    await journal.commit(event_batches.park(TENANT, stored, "refused", retry_at=None))

    # when
    for _ in range(2):
        await journal.commit(event_batches.drop_parked(TENANT, "S", by="ann", chain=CHAIN))

    # then
    said = {"stream": "S", "batches": 1}
    assert await on_record(journal, TENANT) == [("ann", "events.drop", said)]


async def test_who_accepted_a_source_is_on_record_once(open_journal: Callable[[], Journal]) -> None:
    journal = open_journal()

    for by in ("ann", "bob"):
        await journal.commit(sync_switches.accept_source(TENANT, SOURCE, by, chain=CHAIN))

    assert await on_record(journal, TENANT) == [("ann", "sync.accept", {"source": SOURCE})]


async def test_who_has_a_parked_write_tried_again_is_on_record(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    world.mirror.refusals["update"] = [RequestRefused(endpoint="PUT", status=400)]
    world.origin.edit("7", title="new")
    await world.sync.pass_once()
    (parked,) = world.journal.ask_now(incident_writes.parked(SYNCED))

    # when
    for _ in range(2):
        write = incident_writes.retry(SYNCED, parked.id, by="ann", chain=CHAIN)
        await world.journal.commit(write)

    # then
    retried = ("ann", "sync.retry", {"write": parked.id})
    assert (await on_record(world.journal, SYNCED)).count(retried) == 1
