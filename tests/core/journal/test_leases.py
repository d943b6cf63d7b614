"""Leases: who may do what, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from quell.domain.ids import TenantId, WorkerId
from quell.journal import Journal, leases
from quell.journal.holding import holding

TENANT = TenantId("contoso")
ONE, TWO = WorkerId("one"), WorkerId("two")
LONG = timedelta(seconds=60)
PAST = timedelta(seconds=-1)


def test_a_lease_that_is_held_cannot_be_claimed_by_another(journal: Journal) -> None:
    # given
    fence = journal.commit_now(leases.claim(TENANT, "sweep", ONE, LONG))

    # when
    other = journal.commit_now(leases.claim(TENANT, "sweep", TWO, LONG))

    # then
    assert fence == 1
    assert other is None


def test_a_lease_past_its_deadline_can_be_taken_over_and_its_old_fence_is_void(
    journal: Journal,
) -> None:
    # given
    old = journal.commit_now(leases.claim(TENANT, "sweep", ONE, PAST))
    assert old is not None

    # when
    new = journal.commit_now(leases.claim(TENANT, "sweep", TWO, LONG))

    # then
    assert new is not None
    assert new == old + 1
    assert not journal.commit_now(leases.renew(TENANT, "sweep", ONE, old, LONG))
    assert not journal.commit_now(leases.release(TENANT, "sweep", ONE, old))
    assert journal.ask_now(lambda tx: leases.holds(tx, TENANT, "sweep", TWO, new))


def test_a_released_lease_is_free_and_its_fence_goes_on_growing(journal: Journal) -> None:
    # given
    fence = journal.commit_now(leases.claim(TENANT, "sweep", ONE, LONG))
    assert fence is not None
    assert journal.commit_now(leases.release(TENANT, "sweep", ONE, fence))

    # when
    after = journal.commit_now(leases.claim(TENANT, "sweep", TWO, LONG))

    # then
    assert after == fence + 1


def test_leases_of_two_tenants_do_not_meet(journal: Journal) -> None:
    # given
    journal.commit_now(leases.claim(TENANT, "sweep", ONE, LONG))

    # when
    other = journal.commit_now(leases.claim(TenantId("fabrikam"), "sweep", TWO, LONG))

    # then
    assert other == 1
    assert [lease.owner for lease in journal.ask_now(leases.listed(TENANT))] == [ONE]


@pytest.mark.anyio
async def test_of_many_who_claim_at_once_one_wins(open_journal: Callable[[], Journal]) -> None:
    # given
    journals = [open_journal() for _ in range(4)]

    # when
    fences = await asyncio.gather(
        *(
            journal.commit(leases.claim(TENANT, "sweep", WorkerId(f"w{number}.{turn}"), LONG))
            for number, journal in enumerate(journals)
            for turn in range(10)
        )
    )

    # then
    assert [fence for fence in fences if fence is not None] == [1]


def test_whether_a_lease_is_free_can_be_seen_without_a_write(journal: Journal) -> None:
    # given
    assert journal.ask_now(leases.is_free(TENANT, "sweep"))
    fence = journal.commit_now(leases.claim(TENANT, "sweep", ONE, LONG))
    assert fence is not None

    # then
    assert not journal.ask_now(leases.is_free(TENANT, "sweep"))
    journal.commit_now(leases.release(TENANT, "sweep", ONE, fence))
    assert journal.ask_now(leases.is_free(TENANT, "sweep"))


@pytest.mark.anyio
async def test_a_lease_lasts_while_it_is_held_and_shows_when_it_was_taken_over(
    journal: Journal,
) -> None:
    # given
    short = timedelta(seconds=0.4)

    async with holding(journal, TENANT, "sweep", ONE, short) as held:
        # when
        assert held is not None
        await asyncio.sleep(1)

        # then
        assert await journal.commit(leases.claim(TENANT, "sweep", TWO, LONG)) is None
        assert not held.is_lost

        # when it is taken away, as after a long freeze
        await journal.commit(leases.renew(TENANT, "sweep", ONE, held.fence, PAST))
        taken = await journal.commit(leases.claim(TENANT, "sweep", TWO, LONG))
        await asyncio.sleep(0.3)

        # then
        assert taken is not None
        assert held.is_lost
    assert not journal.ask_now(leases.is_free(TENANT, "sweep"))
