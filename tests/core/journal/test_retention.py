"""What a prune removes, what it never removes, and what is on disk before anything goes."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from quell.domain.ids import IncidentId, TenantId
from quell.errors import StateError
from quell.journal import (
    Journal,
    Transaction,
    Write,
    archive,
    audit,
    ledger,
    migrate,
    pruning,
    retention,
    verifying,
)
from quell.journal.pruning import Pruned, Removable
from quell.journal.tables import (
    acted,
    approvals,
    attempts,
    effects,
    notices,
    run_events,
    runs,
    steps,
)
from quell.journal.tables import audit as audit_table

from .paper import (
    TENANT,
    count,
    put,
    put_effect,
    put_hold,
    put_incident,
    put_notice,
    put_run,
)

#: a file and a memory do not differ here
pytestmark = pytest.mark.parametrize("open_journal", ["sqlite-memory", "postgresql"], indirect=True)

DETAILS = (steps, attempts, run_events, approvals, effects)


def find(journal: Journal, days: float = 90) -> Removable:
    return pruning.removable(journal, [TENANT], journal.now() - timedelta(days=days))


def prune(journal: Journal, *, is_archived: bool = False, days: float = 90) -> Pruned:
    return pruning.prune(
        journal,
        [TENANT],
        find(journal, days),
        before=journal.now() - timedelta(days=days),
        is_archived=is_archived,
        tell=lambda done: None,
    )


def to_file(journal: Journal, path: Path, days: float = 90) -> dict[str, int]:
    return pruning.archive(
        journal,
        find(journal, days),
        path,
        before=journal.now() - timedelta(days=days),
        tell=lambda done: None,
    )


def ids(journal: Journal) -> list[str]:
    return journal.ask_now(
        lambda tx: list(tx.execute(sa.select(runs.c.id).order_by(runs.c.id)).scalars())
    )


def test_a_run_that_ended_long_ago_loses_its_details_and_a_younger_one_does_not(
    journal: Journal,
) -> None:
    # given
    put_incident(journal, "i1")
    put_run(journal, "old", days=100)
    put_run(journal, "young", days=80)

    # when
    pruned = prune(journal)

    # then
    assert pruned.runs == 1
    left = journal.ask_now(lambda tx: tx.execute(sa.select(steps.c.run_id)).scalars().all())
    assert left == ["young"]
    assert [count(journal, table) for table in DETAILS] == [1, 1, 1, 1, 1]


def test_the_row_stays_where_an_incident_could_start_it_again_and_goes_where_none_can(
    journal: Journal,
) -> None:
    # given
    put_incident(journal, "i1")
    put_run(journal, "of_incident")
    put_run(journal, "by_hand", incident=None)

    # when
    prune(journal)

    # then
    assert ids(journal) == ["of_incident"]
    kept = [column for column in runs.c if column.name not in {"tenant_id", "id"}]
    again = sa.insert(runs).from_select(
        ["tenant_id", "id", *(column.name for column in kept)],
        sa.select(runs.c.tenant_id, sa.literal("second"), *kept),
    )
    with pytest.raises(IntegrityError):
        journal.commit_now(Write(lambda tx: tx.changed(again)))


@pytest.mark.parametrize("state", ["queued", "running", "waiting", "parked"])
def test_what_is_open_or_parked_is_never_removed(journal: Journal, state: str) -> None:
    # given
    put_incident(journal, "i1")
    put_run(journal, "r1", state=state)

    # when
    pruned = prune(journal)

    # then
    assert pruned.runs == 0
    assert [count(journal, table) for table in DETAILS] == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("state", ["intended", "pending", "unknown"])
def test_a_run_with_an_effect_that_is_not_clear_keeps_everything(
    journal: Journal, state: str
) -> None:
    # given
    put_incident(journal, "i1")
    put_run(journal, "r1", effect=state)

    # when
    found = find(journal)

    # then
    assert found.run_count == 0
    assert found.kept == {"an effect is not settled": 1}


def test_a_run_keeps_everything_while_a_state_that_it_made_is_held(journal: Journal) -> None:
    # given
    put_incident(journal, "i1")
    for name in ("by_effect", "by_run", "free"):
        put_run(journal, name)
    put_hold(journal, "by_effect", owner="person", owner_id="ann")
    put_hold(journal, "by_run", effect_key=None)

    # when
    found = find(journal)

    # then
    assert found.runs == {TENANT: ["free"]}
    assert found.kept == {"a hold stands": 2}


def test_a_run_with_an_effect_that_will_be_looked_at_again_keeps_everything(
    journal: Journal,
) -> None:
    # given
    put_incident(journal, "i1")
    put_run(journal, "r1")
    moment = journal.now() - timedelta(days=100)
    put_effect(journal, "r1", moment, "i1", "done", effect_key="second", verify_at=moment)

    # then
    assert find(journal).kept == {"an effect is not settled": 1}


def test_a_run_of_an_open_incident_keeps_everything_and_one_of_a_merged_does_not(
    journal: Journal,
) -> None:
    # given
    put_incident(journal, "open", status="active")
    put_incident(journal, "merged", status="active", merged_into="open")
    put_run(journal, "of_open", incident="open")
    put_run(journal, "of_merged", incident="merged")

    # when
    found = find(journal)

    # then
    assert found.runs == {TENANT: ["of_merged"]}
    assert found.kept == {"its incident is open": 1}


def test_what_came_in_between_the_look_and_the_removal_is_respected(journal: Journal) -> None:
    # given
    put_incident(journal, "i1")
    put_run(journal, "r1")
    found = find(journal)
    put_hold(journal, "r1")

    # when
    pruned = pruning.prune(
        journal,
        [TENANT],
        found,
        before=journal.now(),
        is_archived=False,
        tell=lambda done: None,
    )

    # then
    assert (found.run_count, pruned.runs) == (1, 0)
    assert count(journal, effects) == 1


def test_many_runs_of_one_moment_are_each_found_once(journal: Journal) -> None:
    # given
    moment = journal.now() - timedelta(days=100)
    for number in range(7):
        put_run(journal, f"r{number}", incident=None, created_at=moment)

    # when
    found: list[str] = []
    after = None
    while page := journal.ask_now(
        retention.candidates(TENANT, journal.now(), after=after, limit=3)
    ):
        found += [one.run_id for one in page]
        after = page[-1].place

    # then
    assert found == [f"r{number}" for number in range(7)]


@pytest.mark.parametrize(("state", "moves"), [("done", True), ("already", True), ("denied", False)])
def test_the_ledger_counts_as_before_when_an_incident_is_merged_after_a_prune(
    journal: Journal, state: str, moves: bool
) -> None:
    # given
    put_incident(journal, "i1")
    put_run(journal, "r1", effect=state)
    prune(journal)

    # when
    loser, winner = IncidentId("i1"), IncidentId("i2")
    journal.commit_now(Write(lambda tx: ledger.move(tx, TENANT, loser, winner)))

    # then
    of_winner = sa.select(acted.c.target_id).where(acted.c.incident_id == winner)
    left = journal.ask_now(lambda tx: tx.execute(of_winner).scalars().all())
    assert left == (["t-r1"] if moves else [])


def test_notices_that_were_passed_on_go_and_others_stay(journal: Journal) -> None:
    # given
    put_notice(journal, "told", days=100, is_sent=True)
    put_notice(journal, "late", days=10, is_sent=True)
    put_notice(journal, "untold", days=100, is_sent=False)

    # when
    pruned = prune(journal)

    # then
    left = journal.ask_now(lambda tx: tx.execute(sa.select(notices.c.id)).scalars().all())
    assert (pruned.notices, sorted(left)) == (1, ["late", "untold"])


def test_nothing_is_removed_while_the_release_before_may_work_here(journal: Journal) -> None:
    # given
    put_incident(journal, "i1")
    put_run(journal, "r1")
    before = sa.text("UPDATE alembic_version SET version_num = '0003'")
    journal.commit_now(Write(lambda tx: tx.changed(before)))

    # when
    with pytest.raises(StateError, match="older release"):
        prune(journal)

    # then
    assert count(journal, steps) == 1
    journal.commit_now(Write(lambda tx: migrate.raise_floor(tx.conn)))
    assert prune(journal).runs == 1


def test_an_archive_has_every_row_that_goes_exactly_as_it_was(
    journal: Journal, tmp_path: Path
) -> None:
    # given
    put_incident(journal, "i1")
    for number in range(3):
        put_run(journal, f"r{number}")
    plan = journal.ask_now(lambda tx: tx.execute(sa.select(steps.c.plan)).scalars().first())

    # when
    rows = to_file(journal, tmp_path / "old.jsonl.zst")

    # then
    assert rows == {
        "runs": 3,
        "steps": 3,
        "attempts": 3,
        "run_events": 3,
        "approvals": 3,
        "effects": 3,
    }
    lines = list(archive.read_archive(tmp_path / "old.jsonl.zst"))
    step = next(one for one in lines if one["table"] == "steps")
    assert step["tenant"] == TENANT
    assert step["row"]["plan"] == plan == {"n": "r0", "odd": "\ud800 ü"}
    assert count(journal, steps) == 3
    assert [path.name for path in tmp_path.glob("*.zst*")] == ["old.jsonl.zst"]
    assert (tmp_path / "old.jsonl.zst").stat().st_mode & 0o077 == 0


def test_the_lines_of_an_archive_are_what_other_programs_read(
    journal: Journal, tmp_path: Path
) -> None:
    # given
    put_run(journal, "r1", incident=None)
    to_file(journal, tmp_path / "old.jsonl.zst")
    import zstandard

    # when
    with (tmp_path / "old.jsonl.zst").open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read()
    lines = [json.loads(line) for line in text.splitlines()]

    # then
    assert (lines[0]["archive"], lines[0]["format"]) == ("quell", 1)
    assert lines[-1]["end"] is True
    assert {one["table"] for one in lines[1:-1]} >= {"runs", "effects"}


def test_an_archive_that_was_cut_off_or_changed_says_so(journal: Journal, tmp_path: Path) -> None:
    # given
    for number in range(20):
        put_run(journal, f"r{number:02}", incident=None)
    whole = tmp_path / "old.jsonl.zst"
    to_file(journal, whole)
    content = whole.read_bytes()

    # when
    (tmp_path / "cut").write_bytes(content[: len(content) // 2])
    (tmp_path / "changed").write_bytes(content[:-200] + b"\x00" * 8 + content[-192:])
    (tmp_path / "other").write_text("hello")

    # then
    for name in ("cut", "changed", "other"):
        with pytest.raises(StateError):
            list(archive.read_archive(tmp_path / name))


def test_an_archive_takes_nothing_elses_place(journal: Journal, tmp_path: Path) -> None:
    # given
    path = tmp_path / "old.jsonl.zst"
    path.write_text("mine")

    # when / then
    with pytest.raises(StateError, match="is there already"):
        to_file(journal, path)
    assert path.read_text() == "mine"


@pytest.fixture
def chained(journal: Journal) -> Journal:
    """Give a journal with a chain of five records of long ago and three of now."""
    for number in range(8):
        body = {"n": number, "text": "ü \u0000 end"}
        journal.commit_now(audit.record(TENANT, "w1", actor="ann", action="arm", body=body))
    old = sa.update(audit_table).where(audit_table.c.seq <= 5)
    rebuilt = Write(lambda tx: tx.execute(old.values(at=tx.now - timedelta(days=100))) and None)
    journal.commit_now(rebuilt)
    _seal(journal)
    return journal


def _seal(journal: Journal) -> None:
    """Compute the digests again, as they would be had the records been written back then."""

    def apply(tx: Transaction) -> None:
        previous = audit.NOTHING
        for row in tx.execute(sa.select(audit_table).order_by(audit_table.c.seq)).all():
            digest = audit.digest_of(previous, row.seq, row.at, row.actor, row.action, row.body)
            mine = sa.update(audit_table).where(audit_table.c.seq == row.seq)
            tx.execute(mine.values(previous=previous, digest=digest))
            previous = digest

    journal.commit_now(Write(apply))


def test_audit_records_stay_without_an_archive(chained: Journal) -> None:
    # when
    pruned = prune(chained)

    # then
    assert pruned.records == 0
    assert count(chained, audit_table) == 8
    assert chained.ask_now(audit.verify(TENANT)) == []


def test_archived_audit_records_go_and_the_rest_of_their_chain_can_still_be_checked(
    chained: Journal, tmp_path: Path
) -> None:
    # given
    path = tmp_path / "old.jsonl.zst"
    assert to_file(chained, path) == {"audit": 5}

    # when
    pruned = prune(chained, is_archived=True)

    # then
    assert pruned.records == 5
    assert chained.ask_now(audit.verify(TENANT)) == []
    alone = verifying.verify(chained)
    assert (alone.records, alone.unseen, alone.problems) == (3, 5, [])
    whole = verifying.verify(chained, [path])
    assert (whole.records, whole.unseen, whole.problems) == (8, 0, [])
    chained.commit_now(audit.record(TENANT, "w1", actor="ann", action="arm", body={}))
    assert chained.ask_now(audit.verify(TENANT)) == []


def test_a_record_taken_from_behind_the_archive_shows(chained: Journal, tmp_path: Path) -> None:
    # given
    to_file(chained, tmp_path / "old.jsonl.zst")
    prune(chained, is_archived=True)

    # when
    sixth = sa.delete(audit_table).where(audit_table.c.seq == 6)
    chained.commit_now(Write(lambda tx: tx.changed(sixth)))

    # then
    assert chained.ask_now(audit.verify(TENANT)) == ["chain w1: record 6 is missing"]


def test_another_archive_than_the_one_that_was_made_shows(chained: Journal, tmp_path: Path) -> None:
    # given
    to_file(chained, tmp_path / "old.jsonl.zst")
    forged = tmp_path / "forged.jsonl.zst"
    with archive.writing(forged, {}) as file:
        for line in archive.read_archive(tmp_path / "old.jsonl.zst"):
            file.add("audit", TENANT, {**line["row"], "actor": "eve"})
    prune(chained, is_archived=True)

    # when
    found = verifying.verify(chained, [forged])

    # then
    assert "chain w1: record 1 was changed" in found.problems


def test_the_last_record_of_a_chain_stays_so_that_the_next_can_follow_it(
    chained: Journal, tmp_path: Path
) -> None:
    # given
    to_file(chained, tmp_path / "old.jsonl.zst", days=-1)

    # when
    prune(chained, is_archived=True, days=-1)
    chained.commit_now(audit.record(TENANT, "w1", actor="ann", action="arm", body={}))

    # then
    assert [one.seq for one in chained.ask_now(audit.listed(TENANT))] == [9, 8]
    assert chained.ask_now(audit.verify(TENANT)) == []


def test_a_prune_that_was_killed_goes_on_when_it_is_run_again(journal: Journal) -> None:
    # given
    put_incident(journal, "i1")
    put(journal, runs, *(_thin(journal, number) for number in range(250)))
    found = find(journal)

    class Killed(Exception):
        pass

    def die(done: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        pruning.prune(journal, [TENANT], found, before=journal.now(), is_archived=False, tell=die)
    left = find(journal).run_count

    # when
    pruned = prune(journal)

    # then
    assert (left, pruned.runs) == (150, 150)
    assert find(journal).run_count == 0


def _thin(journal: Journal, number: int) -> dict[str, object]:
    moment = journal.now() - timedelta(days=100)
    return {
        "id": f"r{number:03}",
        "playbook_id": "p",
        "digest": "d",
        "incident_id": "i1",
        "revision": 1,
        "cause": f"c{number}",
        "origin": "live",
        "depth": 0,
        "state": "done",
        "priority": 5,
        "options": {},
        "fence": 1,
        "cancel_requested": False,
        "takeovers": 0,
        "error": "",
        "created_at": moment,
        "finished_at": moment,
    }


def test_one_tenants_prune_leaves_anothers_runs_alone(journal: Journal) -> None:
    # given
    put_run(journal, "r1", incident=None)

    # when
    found = pruning.removable(journal, [TenantId("fabrikam")], journal.now())

    # then
    assert found.run_count == 0
