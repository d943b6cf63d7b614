"""Big bodies: apart from their rows, once each, and read as if they were not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from quell.domain.ids import IncidentId, RunId, SourceId, StepKey, TenantId
from quell.domain.incident import Alert
from quell.domain.run import StepState
from quell.journal import Journal, Write, alerts, blobs, steps
from quell.journal.payloads import LIMIT, REFERENCE
from quell.journal.steps import StepPlan, StepRow
from quell.journal.tables import alerts as alerts_table
from quell.journal.tables import blobs as blobs_table
from quell.journal.tables import steps as steps_table

from .paper import TENANT, count

RUN = RunId("r1")


def save(journal: Journal, text: str, key: str = "a", tenant_id: TenantId = TENANT) -> StepRow:
    step = StepRow(key=StepKey(key), state=StepState.RUNNING, plan=StepPlan(params={"text": text}))
    journal.commit_now(Write(lambda tx: steps.save(tx, tenant_id, RUN, step)))
    return step


def read(journal: Journal, tenant_id: TenantId = TENANT) -> list[Any]:
    return [one.plan for one in journal.ask_now(steps.listed(tenant_id, RUN))]


def stored(journal: Journal, column: sa.Column[Any]) -> list[str]:
    """Read what stands in the rows themselves."""
    plain = sa.select(sa.type_coerce(column, sa.Text)).order_by(*column.table.primary_key.columns)
    return journal.ask_now(lambda tx: list(tx.execute(plain).scalars()))


@pytest.mark.parametrize("text", ["x" * LIMIT, "ü€😀" * LIMIT, "\ud800\x00" * LIMIT])
def test_a_big_body_is_apart_and_reads_exactly_as_it_was_written(
    journal: Journal, text: str
) -> None:
    # when
    step = save(journal, text)

    # then
    assert read(journal) == [step.plan]
    (row,) = stored(journal, steps_table.c.plan)
    assert row.startswith(REFERENCE)
    assert len(row) < 100
    (body,) = stored(journal, blobs_table.c.body)
    assert len(body) < len(text)


def test_a_small_body_stays_in_its_row_as_the_release_before_reads_it(journal: Journal) -> None:
    # when
    save(journal, "x" * (LIMIT // 2))

    # then
    (row,) = stored(journal, steps_table.c.plan)
    assert row.startswith('{"v":1,')
    assert count(journal, blobs_table) == 0


def test_the_same_body_is_kept_once_for_each_tenant(journal: Journal) -> None:
    # when
    for key in ("a", "b", "c"):
        save(journal, "x" * LIMIT, key)
    save(journal, "x" * LIMIT, tenant_id=TenantId("fabrikam"))

    # then
    assert count(journal, blobs_table) == 2
    assert len(read(journal)) == 3
    assert len(read(journal, TenantId("fabrikam"))) == 1


def test_a_body_that_looks_like_a_reference_is_no_reference(journal: Journal) -> None:
    # given
    save(journal, "x" * LIMIT)
    (reference,) = stored(journal, steps_table.c.plan)

    # when
    step = save(journal, reference, "b")

    # then
    assert read(journal)[1] == step.plan


def test_an_alert_with_a_big_body_is_found_like_any_other(journal: Journal) -> None:
    # given
    alert = Alert(id="a1", raw={"text": "y" * 3 * LIMIT})
    incident, source = IncidentId("i1"), SourceId("s")

    # when
    journal.commit_now(Write(lambda tx: alerts.store(tx, TENANT, source, incident, {}, (alert,))))

    # then
    assert journal.ask_now(alerts.of(TENANT, incident)) == [alert]
    (row,) = stored(journal, alerts_table.c.body)
    assert row.startswith(REFERENCE)


def age(journal: Journal) -> None:
    old = sa.update(blobs_table).values(at=journal.now() - timedelta(days=2))
    journal.commit_now(Write(lambda tx: tx.execute(old) and None))


def test_a_body_that_nothing_names_any_more_is_swept_and_the_others_stay(
    journal: Journal,
) -> None:
    # given
    save(journal, "x" * LIMIT)
    kept = save(journal, "y" * LIMIT, "b")
    save(journal, "changed", "a")
    age(journal)

    # when
    named = journal.ask_now(blobs.named(TENANT))
    gone = journal.commit_now(blobs.sweep(TENANT, named))

    # then
    assert gone == 1
    assert read(journal)[1] == kept.plan


def test_a_body_that_is_written_again_during_a_sweep_stays(journal: Journal) -> None:
    # given
    save(journal, "x" * LIMIT)
    save(journal, "changed")
    age(journal)
    named = journal.ask_now(blobs.named(TENANT))

    # when
    again = save(journal, "x" * LIMIT, "b")
    gone = journal.commit_now(blobs.sweep(TENANT, named))

    # then
    assert gone == 0
    assert read(journal)[1] == again.plan
