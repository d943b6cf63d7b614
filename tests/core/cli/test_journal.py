"""`quell journal`: what it shows, archives, removes and checks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.core.journal.paper import TENANT, count, put_hold, put_incident, put_run

from quell.cli.outcome import ExitCode
from quell.domain.ids import WorkerId
from quell.journal import Journal, Write, audit, workers
from quell.journal.tables import audit as audit_table
from quell.journal.tables import steps

from .conftest import Shell


@pytest.fixture
def journal(quell: Shell) -> Journal:
    """Give the journal of the shell's configuration, with two old runs, one of them held."""
    path = quell.folder / "journal.sqlite3"
    quell.write({"quell.toml": f'journal = "sqlite:///{path}"\n'})
    opened = Journal.open(f"sqlite:///{path}")
    put_incident(opened, "i1")
    put_run(opened, "r1")
    put_run(opened, "r2")
    put_hold(opened, "r2")
    for number in range(3):
        body = {"n": number}
        opened.commit_now(audit.record(TENANT, "w1", actor="ann", action="arm", body=body))
    return opened


def test_status_shows_rows_and_what_a_prune_would_remove(quell: Shell, journal: Journal) -> None:
    # when
    shown = quell.inside("journal", "status", "--json").json

    # then
    assert shown["prunable_runs"] == 1
    assert shown["kept_runs"] == ["1: a hold stands"]
    assert {"table": "steps", "rows": 2} in shown["tables"]
    assert shown["open_to"] == "this release"
    assert quell.inside("journal", "status").code == ExitCode.DONE


def test_a_prune_archives_first_removes_then_and_is_on_record(
    quell: Shell, journal: Journal
) -> None:
    # when
    done = quell.inside(
        "journal", "prune", "--before", "90d", "--archive", "old.jsonl.zst", "--json"
    )

    # then
    assert done.code == ExitCode.DONE, done.err
    assert done.json["removed"]["runs"] == 1
    assert done.json["archived"]["runs"] == 1
    assert count(journal, steps) == 1
    newest = journal.ask_now(audit.listed(TENANT, limit=1))[0]
    assert (newest.action, newest.body["runs"]) == ("journal.prune", 1)
    assert newest.body["archive"] == "old.jsonl.zst"


def test_a_dry_run_says_what_would_go_and_removes_nothing(quell: Shell, journal: Journal) -> None:
    # when
    shown = quell.inside("journal", "prune", "--before", "90d", "--dry-run", "--json").json

    # then
    assert shown["prunable_runs"] == 1
    assert count(journal, steps) == 2


def test_an_export_can_be_read_run_by_run(quell: Shell, journal: Journal) -> None:
    # given
    done = quell.inside("journal", "export", "--before", "90d", "--to", "old.jsonl.zst")
    assert done.code == ExitCode.DONE, done.err

    # when
    shown = quell.inside("journal", "read", "old.jsonl.zst", "--run", "r1")

    # then
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert [one["table"] for one in lines] == [
        "runs",
        "steps",
        "attempts",
        "run_events",
        "effects",
        "approvals",
    ]
    assert shown.out.isascii()
    only = quell.inside("journal", "read", "old.jsonl.zst", "--table", "effects")
    assert len(only.out.splitlines()) == 1
    assert count(journal, steps) == 2


def test_a_second_export_to_the_same_file_is_refused(quell: Shell, journal: Journal) -> None:
    # given
    quell.inside("journal", "export", "--before", "90d", "--to", "old.jsonl.zst")

    # when
    again = quell.inside("journal", "export", "--before", "90d", "--to", "old.jsonl.zst")

    # then
    assert again.code == ExitCode.REFUSED
    assert "is there already" in again.err


def test_verify_says_what_it_saw_and_ends_with_1_when_a_record_was_changed(
    quell: Shell, journal: Journal
) -> None:
    # given
    good = quell.inside("journal", "verify", "--json")
    assert (good.code, good.json["records"], good.json["problems"]) == (0, 3, [])

    # when
    second = sa.update(audit_table).where(audit_table.c.seq == 2).values(actor="eve")
    journal.commit_now(Write(lambda tx: tx.changed(second)))
    bad = quell.inside("journal", "verify")

    # then
    assert bad.code == ExitCode.NO
    assert "record 2 was changed" in bad.err


def test_upgrade_is_refused_while_an_older_worker_is_there(quell: Shell, journal: Journal) -> None:
    # given
    before = sa.text("UPDATE alembic_version SET version_num = '0003'")
    journal.commit_now(Write(lambda tx: tx.changed(before)))
    journal.commit_now(workers.register(WorkerId("w"), host="h", pid=7, version="0.1.0"))
    refused = quell.inside("journal", "upgrade")
    assert refused.code == ExitCode.REFUSED
    assert "h 7 (0.1.0)" in refused.err

    # when
    journal.commit_now(workers.leave(WorkerId("w")))
    done = quell.inside("journal", "upgrade", "--json")

    # then
    assert (done.code, done.json) == (ExitCode.DONE, {"changed": True})
    assert quell.inside("journal", "upgrade", "--json").json == {"changed": False}


def test_without_a_journal_it_says_so_and_makes_none(quell: Shell, tmp_path: Path) -> None:
    # given
    quell.write({"quell.toml": f'journal = "sqlite:///{tmp_path / "none.sqlite3"}"\n'})

    # when
    shown = quell.inside("journal", "status")

    # then
    assert shown.code == ExitCode.JOURNAL
    assert "there is no journal yet" in shown.err
