"""The audit trail: what its chains show."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from quell.domain.ids import TenantId
from quell.journal import Journal, Write, audit
from quell.journal.tables import audit as audit_table

TENANT = TenantId("contoso")


@pytest.fixture
def chained(journal: Journal) -> Journal:
    for number in range(5):
        body = {"n": number, "text": "ü \u0000 end"}
        journal.commit_now(audit.record(TENANT, "w1", actor="ann", action="arm", body=body))
    return journal


def test_untouched_chains_verify(chained: Journal) -> None:
    assert chained.ask_now(audit.verify(TENANT)) == []
    assert [found.seq for found in chained.ask_now(audit.listed(TENANT))] == [5, 4, 3, 2, 1]


def test_a_changed_record_shows(chained: Journal) -> None:
    # when
    third = sa.update(audit_table).where(audit_table.c.seq == 3).values(actor="eve")
    chained.commit_now(Write(lambda tx: tx.changed(third)))

    # then
    assert chained.ask_now(audit.verify(TENANT)) == ["chain w1: record 3 was changed"]


def test_a_removed_record_shows(chained: Journal) -> None:
    # when
    third = sa.delete(audit_table).where(audit_table.c.seq == 3)
    chained.commit_now(Write(lambda tx: tx.changed(third)))

    # then
    assert chained.ask_now(audit.verify(TENANT)) == ["chain w1: record 3 is missing"]
