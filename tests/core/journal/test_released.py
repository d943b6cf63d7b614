"""A journal that the release before made: brought up, worked in by both, and brought back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import quell.journal
from quell.domain.ids import RunId, TenantId, WorkerId
from quell.domain.run import RunState
from quell.errors import StateError
from quell.journal import Journal, Write, audit, migrate, run_events, runs, size, steps, workers
from quell.journal.migrate import HEAD
from quell.journal.payloads import REFERENCE
from quell.journal.runs import NewRun, RunRef

from .conftest import RunReleased

TENANT = TenantId("contoso")
MARKS = {"alembic_version", "schema_version"}

#: three runs, one of them open; a big alert; a hold, an effect; the audit trail of an order
MAKE = """
import sys
from datetime import timedelta
from importlib.metadata import version
import sqlalchemy as sa
from quell.domain.ids import RunId, StepKey, TenantId, WorkerId
from quell.domain.run import RunState, StepState
from quell.journal import Journal, Write, progress, runs, switches, workers
from quell.journal.progress import Advance, Attempt
from quell.journal.run_events import RunEvent
from quell.journal.runs import NewRun, RunRef
from quell.journal.steps import StepPlan, StepRow
from quell.journal.tables import alerts, holds

assert version("quell") == "0.1.0"
tenant, worker = TenantId("contoso"), WorkerId("old")
journal = Journal.open(sys.argv[1])
journal.commit_now(workers.register(worker, host="h", pid=1, version=version("quell")))
journal.commit_now(switches.arm(tenant, by="ann", reason="go", chain=worker))
for number in range(3):
    ref = RunRef(tenant, RunId(f"r{number}"))
    run = NewRun(id=ref.run_id, playbook_id="p", digest="d", cause=f"c{number}", incident_id="i1")
    journal.commit_now(runs.create(tenant, run))
    claim = journal.commit_now(runs.claim(ref, worker, timedelta(seconds=60)))
    plan = StepPlan(targets=("t",), params={"text": "\\ud800 ü" + "x" * 20_000})
    step = StepRow(key=StepKey("a"), state=StepState.DONE, attempt=1, plan=plan)
    change = Advance(
        steps=(step,),
        attempts=(Attempt(step_key=StepKey("a"), number=1, outcome="done"),),
        events=(RunEvent("noted", {"n": number}),),
        finish=RunState.DONE if number else None,
        audits=(("effect.sent", {"n": number}),),
    )
    journal.commit_now(progress.advance(ref, claim.run.fence, change, worker=worker))
row = {"tenant_id": tenant, "entity_id": "e", "state": "s", "owner": "run", "owner_id": "r1"}
row |= {"reason": "", "made_at": journal.now()}
journal.commit_now(Write(lambda tx: tx.changed(sa.insert(holds).values(**row))))
alert = {"tenant_id": tenant, "source_id": "s", "native_id": "a", "incident_id": "i1"}
alert |= {"body": {"raw": "y" * 50_000}, "digest": "d", "seen_at": journal.now()}
journal.commit_now(Write(lambda tx: tx.changed(sa.insert(alerts).values(**alert))))
journal.close()
"""

#: drives a run that it finds, to its end
DRIVE = """
import sys
from datetime import timedelta
from quell.domain.ids import RunId, TenantId, WorkerId
from quell.domain.run import RunState
from quell.journal import Journal, progress, runs, steps
from quell.journal.progress import Advance
from quell.journal.runs import RunRef

journal = Journal.open(sys.argv[1])
ref = RunRef(TenantId("contoso"), RunId(sys.argv[2]))
assert len(journal.ask_now(runs.listed(ref.tenant_id))) == 4
assert len(journal.ask_now(steps.listed(ref.tenant_id, RunId("r1")))) == 1
claim = journal.commit_now(runs.claim(ref, WorkerId("old"), timedelta(seconds=60)))
end = Advance(finish=RunState.DONE)
journal.commit_now(progress.advance(ref, claim.run.fence, end, worker=WorkerId("old")))
journal.close()
"""

Content = dict[str, list[dict[str, Any]]]


@pytest.fixture
def old(url: str, released: RunReleased) -> str:
    """Give the URL of a journal that the release before has worked in."""
    made = released(MAKE, url)
    assert made.returncode == 0, made.stderr
    return url


def content(url: str, columns: Content | None = None) -> Content:
    """Read every row of every table as it is stored, or of the tables and columns that are given."""
    engine = sa.create_engine(url)
    found: Content = {}
    with engine.connect() as conn:
        names = set(sa.inspect(conn).get_table_names()) - MARKS
        for name in sorted(names if columns is None else columns):
            listed = conn.execute(sa.text(f"SELECT * FROM {name}")).mappings()
            rows = [{str(key): value for key, value in row.items()} for row in listed]
            if columns is not None and columns[name]:
                kept = columns[name][0]
                rows = [{key: row[key] for key in kept} for row in rows]
            found[name] = sorted(rows, key=str)
    engine.dispose()
    return found


def bring_back(url: str) -> None:
    """Migrate a journal down to where the release before knows it."""
    config = Config()
    folder = Path(quell.journal.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    engine = sa.create_engine(url)
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "0003")
    engine.dispose()


def marks(journal: Journal) -> tuple[str | None, str | None]:
    found = journal.ask_now(lambda tx: migrate.marks(tx.conn))
    return found.version, found.floor


def test_nothing_that_the_release_wrote_is_lost_on_the_way_up_or_back(old: str) -> None:
    # given
    before = content(old)
    assert len(before["runs"]) == 3
    assert len(before["audit"]) == 4

    # when
    Journal.open(old).close()
    upgraded = content(old, before)
    bring_back(old)

    # then
    assert upgraded == before
    assert content(old) == before


def test_today_reads_what_the_release_wrote(old: str) -> None:
    # when
    journal = Journal.open(old)

    # then
    assert marks(journal) == (HEAD, "0003")
    states = {row.id: row.state for row in journal.ask_now(runs.listed(TENANT))}
    assert states == {"r0": RunState.RUNNING, "r1": RunState.DONE, "r2": RunState.DONE}
    (step,) = journal.ask_now(steps.listed(TENANT, RunId("r0")))
    assert step.plan is not None
    assert step.plan.params["text"].startswith("\ud800 ü")
    assert [one.kind for one in journal.ask_now(run_events.of_run(TENANT, RunId("r1")))][:2] == [
        "run_queued",
        "noted",
    ]
    assert journal.ask_now(audit.verify(TENANT)) == []
    journal.close()


def test_workers_of_both_releases_share_a_journal(old: str, released: RunReleased) -> None:
    # given
    journal = Journal.open(old)
    ref = RunRef(TENANT, RunId("new"))
    order = NewRun(id=ref.run_id, playbook_id="p", digest="d", cause="new")
    journal.commit_now(runs.create(TENANT, order))

    # when
    driven = released(DRIVE, old, "new")

    # then
    assert driven.returncode == 0, driven.stderr
    assert journal.ask_now(runs.get(ref)).state is RunState.DONE
    journal.close()


def plans(journal: Journal) -> list[str]:
    return journal.ask_now(
        lambda tx: list(tx.conn.exec_driver_sql("SELECT plan FROM steps").scalars())
    )


def save_again(journal: Journal) -> None:
    """Write a step of the release's again, as its run goes on."""
    (step,) = journal.ask_now(steps.listed(TENANT, RunId("r0")))
    journal.commit_now(Write(lambda tx: steps.save(tx, TENANT, RunId("r0"), step)))


def test_bodies_stay_in_their_rows_until_the_release_before_is_gone(
    old: str, released: RunReleased
) -> None:
    # given
    journal = Journal.open(old)
    save_again(journal)
    assert not any(plan.startswith(REFERENCE) for plan in plans(journal))
    with pytest.raises(StateError, match=r"h 1 \(0.1.0\)"):
        journal.commit_now(size.upgrade())

    # when
    journal.commit_now(workers.leave(WorkerId("old")))
    assert journal.commit_now(size.upgrade())
    journal.close()
    journal = Journal.open(old)
    (before,) = journal.ask_now(steps.listed(TENANT, RunId("r0")))
    save_again(journal)

    # then
    assert len([plan for plan in plans(journal) if plan.startswith(REFERENCE)]) == 1
    assert journal.ask_now(steps.listed(TENANT, RunId("r0")))[0].plan == before.plan
    assert not journal.commit_now(size.upgrade())
    journal.close()
    refused = released(DRIVE, old, "r0")
    assert "JournalVersionError" in refused.stderr


def test_bodies_that_are_kept_apart_return_to_their_rows_on_the_way_back(
    old: str, released: RunReleased
) -> None:
    # given
    journal = Journal.open(old)
    before = plans(journal)
    order = NewRun(id=RunId("new"), playbook_id="p", digest="d", cause="new")
    journal.commit_now(runs.create(TENANT, order))
    journal.commit_now(workers.leave(WorkerId("old")))
    journal.commit_now(size.upgrade())
    journal.close()
    journal = Journal.open(old)
    save_again(journal)
    assert sorted(plans(journal)) != sorted(before)
    journal.close()

    # when
    bring_back(old)
    driven = released(DRIVE, old, "new")

    # then
    assert driven.returncode == 0, driven.stderr
    assert sorted(one["plan"] for one in content(old, {"steps": []})["steps"]) == sorted(before)


def test_a_new_journal_has_no_past_to_wait_for(url: str) -> None:
    # when
    journal = Journal.open(url)

    # then
    assert marks(journal) == (HEAD, HEAD)
    journal.close()
