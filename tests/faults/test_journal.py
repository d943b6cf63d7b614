"""The journal's own trouble: a full disk, a broken file, a place that cannot be written, two writers."""

from __future__ import annotations

import resource
import subprocess
import threading
from pathlib import Path

import pytest
from tests.fault_ground import CONTAIN, Ground, activate, device_evidence, wait_until


def test_a_full_disk_is_one_line_and_nothing_is_lost_once_there_is_space(ground: Ground) -> None:
    # given: a journal that may not grow, as on a full disk
    ground.detect("before")
    with ground.runtime() as runtime:
        ground.settle(runtime)
        size = max(path.stat().st_size for path in (ground.folder / "state").iterdir())
    for number in range(30):
        ground.detect(f"incident {number}", description="x" * 5_000, alerts=2)
    # when
    done = subprocess.run(
        ground.command("sync"),
        env=ground.environ,
        cwd=ground.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    # then
    assert done.returncode in {4, 5}, done
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert lines
    assert all("The journal at" in line and "cannot be used" in line for line in lines), lines
    assert "Free disk space" in done.stderr
    assert "Traceback" not in done.stderr
    # and when
    with ground.runtime() as runtime:
        ground.check_nothing_is_lost(runtime)
    assert len(ground.copies) == 31


def test_a_disk_that_fills_up_under_a_worker_ends_neither_it_nor_its_work(ground: Ground) -> None:
    # given
    with ground.up() as worker:
        wait_until(lambda: "worker_up" in ground.log().read_text(), "it is up")
        ground.detect("before")
        wait_until(lambda: len(ground.copies) == 1, "the first copy")
        # when: no file of the worker can grow
        size = max(path.stat().st_size for path in (ground.folder / "state").iterdir())
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        for number in range(30):
            ground.detect(f"incident {number}", description="x" * 5_000)
        wait_until(lambda: "Free disk space" in ground.log().read_text(), "it says so")
        # then: it goes on, and has everything once there is space
        assert worker.poll() is None
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, unlimited)
        wait_until(lambda: len(ground.copies) == 31, "all copies")
    log = ground.log().read_text()
    assert "Traceback" not in log
    with ground.runtime() as runtime:
        ground.check_nothing_is_lost(runtime)


@pytest.mark.parametrize("content", [b"this is no database, " * 500, b"SQLite format 3\x00" * 300])
def test_a_file_that_is_no_journal_is_left_alone_and_said_in_one_line(
    ground: Ground, content: bytes
) -> None:
    # given
    path = ground.folder / "state" / "quell.sqlite3"
    path.parent.mkdir()
    path.write_bytes(content)
    # when
    shown = ground.quell("sync")
    # then
    shown.check_is_clear(5, str(path), "cannot be used")
    assert path.read_bytes() == content


def test_a_state_folder_that_cannot_be_made_is_said_in_one_line(ground: Ground) -> None:
    # given: a file stands where the folder should be
    (ground.folder / "state").write_text("in the way")
    # when
    shown = ground.quell("runs")
    # then
    shown.check_is_clear(5, str(ground.folder / "state"), "cannot be used")


def test_a_journal_of_a_newer_version_is_not_touched(ground: Ground) -> None:
    # given
    import sqlite3

    with ground.runtime() as runtime:
        ground.settle(runtime)
    path = ground.folder / "state" / "quell.sqlite3"
    with sqlite3.connect(path) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
    conn.close()
    # when
    shown = ground.quell("sync")
    # then
    shown.check_is_clear(5, "9999", "Upgrade quell")


def test_a_writer_that_holds_the_database_for_a_while_delays_and_loses_nothing(
    ground: Ground,
) -> None:
    # given: another process writes, e.g. a backup that takes a lock
    import sqlite3

    ground.detect("one")
    with ground.runtime() as runtime:
        other = sqlite3.connect(
            ground.folder / "state" / "quell.sqlite3",
            isolation_level=None,
            check_same_thread=False,
        )
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(1.0, lambda: other.execute("ROLLBACK"))
        release.start()
        # when
        report = ground.pass_once(runtime)
        # then
        assert report.problems == ()
        ground.check_nothing_is_lost(runtime)
        release.join()
        other.close()


def test_two_workers_on_one_file_do_everything_once(ground: Ground) -> None:
    # given
    numbers = range(8)
    for number in numbers:
        ground.tenant.devices.add_machine(
            {"id": f"{number:040x}", "computerDnsName": f"ws-{number}"}
        )
    ground.own["guard"] = {"auto": ["device.isolate"]}
    ground.write_settings()
    with ground.runtime() as runtime:
        ground.settle(runtime)
        activate(runtime, ground.folder, CONTAIN)
    # when: two workers, one of which is killed in the middle
    with ground.up("first") as first, ground.up("second"):
        for name in ("first", "second"):
            wait_until(lambda name=name: _is_up(ground.log(name)), f"{name} is up")  # type: ignore[misc]
        for number in numbers:
            ground.detect(f"incident {number}", evidence=[device_evidence(f"{number:040x}")])
        wait_until(lambda: len(ground.copies) >= 4, "half of the copies")
        first.kill()
        wait_until(lambda: _isolated(ground) == len(numbers), "all devices are off")
        wait_until(lambda: len(ground.copies) == len(numbers), "all copies")
        wait_until(lambda: _open_runs(ground) == 0, "all runs end")
    # then
    facts = ground.facts()
    assert facts.effects == {"device.isolate": len(numbers)}
    assert [line.accepted for line in facts.lines] == [1] * len(numbers)
    with ground.runtime() as runtime:
        ground.check_nothing_is_lost(runtime)
    for name in ("first", "second"):
        assert "Traceback" not in ground.log(name).read_text()


def _is_up(log: Path) -> bool:
    return log.exists() and "worker_up" in log.read_text()


def _isolated(ground: Ground) -> int:
    return ground.facts().effects.get("device.isolate", 0)


def _open_runs(ground: Ground) -> int:
    shown = ground.quell("runs", "--json")
    return sum(run["state"] not in {"done", "failed"} for run in shown.json)
