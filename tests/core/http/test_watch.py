"""What those who watch are told: metrics through the real door, and readiness that means it."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.core.http import test_door as door
from tests.core.http.test_door import runtime as runtime

from quell.domain.ids import TenantId
from quell.errors import JournalUnavailable
from quell.http import watch
from quell.http.watch import Watch
from quell.journal import switches
from quell.meters import WEBHOOKS
from quell.runtime import Runtime
from quell.runtime.duty import Duty
from quell.telemetry.gauges import GAUGES

LAB = TenantId("lab")


def samples(page: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Read a page as Prometheus does: by name, then by labels."""
    read: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            read.setdefault(sample.name, {})[labels] = sample.value
    return read


def halt(runtime: Runtime) -> None:
    """Change something that the page shows."""
    write = switches.halt(LAB, by="ann", reason="test", chain=runtime.worker_id)
    runtime.journal.commit_now(write)


def halted(page: str) -> float:
    return samples(page)["quell_switch"][("switch", "halted"), ("tenant", LAB)]


def test_the_page_is_read_by_prometheus_and_shows_how_the_tenant_stands(runtime: Runtime) -> None:
    # given
    door.poll_of(runtime)

    # when
    answer = door.through_the_door(runtime, lambda client: client.get("/metrics"))

    # then
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    read = samples(answer.text)
    assert read["quell_journal_up"] == {(): 1}
    assert read["quell_source_lag_seconds"][("source", "sentinel"), ("tenant", LAB)] == float("inf")
    assert read["quell_duty_held"][("duty", "poll/sentinel"), ("tenant", LAB)] == 0
    assert read["quell_quota_left"]
    assert read["process_resident_memory_bytes"][()] > 1_000_000
    assert {gauge.name for gauge in GAUGES} <= set(re.findall(r"# TYPE (\S+) gauge", answer.text))


def test_everybody_gets_one_page_for_some_seconds_and_then_a_new_one(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    watching = Watch(runtime)
    first = runtime.run(watching.page()).decode()

    # when
    halt(runtime)
    kept = runtime.run(watching.page()).decode()
    monkeypatch.setattr(watch, "KEPT_FOR", 0.0)
    watching = Watch(runtime)
    fresh = runtime.run(watching.page()).decode()

    # then
    assert (halted(first), halted(kept), halted(fresh)) == (0, 0, 1)


@pytest.fixture
def without_journal(runtime: Runtime) -> Runtime:
    """Take the journal away, as a disk or a server that is gone does."""
    path = Path(runtime.journal.where.removeprefix("sqlite:///"))
    runtime.journal._engine.dispose()  # pyright: ignore[reportPrivateUsage] # connections that are open would go on
    kept = path.with_name("kept")
    path.rename(kept)
    path.mkdir()
    return runtime


def test_without_a_journal_a_worker_lives_is_not_ready_and_still_shows_what_it_counted(
    without_journal: Runtime,
) -> None:
    # when
    async def ask(client: httpx.AsyncClient) -> Any:
        return [await client.get(path) for path in ("/healthz", "/readyz", "/metrics")]

    alive, ready, metrics = door.through_the_door(without_journal, ask)

    # then
    assert alive.status_code == 200
    assert ready.status_code == 503
    assert [one for one in ready.json()["problems"] if one.startswith("journal: ")]
    read = samples(metrics.text)
    assert read["quell_journal_up"] == {(): 0}
    assert "quell_runs" not in read
    assert "quell_source_lag_seconds" not in read
    assert read["quell_commit_writes_count"][()] >= 1


def test_a_turn_that_does_not_end_is_seen(runtime: Runtime) -> None:
    # given
    poll = door.poll_of(runtime)

    # when
    poll.busy_since = time.monotonic() - watch.STUCK_AFTER - 1

    # then
    (problem,) = runtime.run(Watch(runtime).problems())
    assert problem.startswith("lab: poll/sentinel: its turn has lasted for ")


def test_a_duty_says_since_when_it_works_and_that_it_does_not(runtime: Runtime) -> None:
    # given
    stop, begun, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go_on.wait()

    duty = Duty(tenant_id=LAB, name="slow", work=work, every=60)

    async def watch_it() -> tuple[float | None, float | None]:
        keeping = asyncio.create_task(duty.keep(runtime.journal, runtime.worker_id, stop))
        await begun.wait()
        during = duty.busy_since
        go_on.set()
        stop.set()
        await keeping
        return during, duty.busy_since

    # when
    during, after = runtime.run(watch_it())

    # then
    assert during is not None
    assert after is None


@pytest.mark.anyio
async def test_a_question_that_hangs_is_not_asked_a_second_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given
    monkeypatch.setattr(watch, "PATIENCE", 0.01)
    asked: list[int] = []
    answered = asyncio.Event()

    async def ask() -> str:
        asked.append(1)
        await answered.wait()
        return "yes"

    look = watch._Look(ask)  # pyright: ignore[reportPrivateUsage] # what keeps a dead server from costing threads

    # when
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await look.answer()
    answered.set()

    # then
    assert await look.answer() == "yes"
    assert asked == [1]


@pytest.mark.anyio
async def test_an_error_reaches_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    async def ask() -> str:
        raise JournalUnavailable(where="here", problem="gone")

    # when, then
    with pytest.raises(JournalUnavailable):
        await watch._Look(ask).answer()  # pyright: ignore[reportPrivateUsage] # as above


def test_calls_of_webhooks_are_counted_by_what_came_of_them(runtime: Runtime) -> None:
    # given
    door.poll_of(runtime)
    before = WEBHOOKS.read()

    # when
    async def ask(client: httpx.AsyncClient) -> None:
        for headers in (door.signed(), door.signed(), {}):
            await client.post("/webhooks/sentinel", content=door.BODY, headers=headers)
        await client.post("/webhooks/nobody", content=b"{}")

    door.through_the_door(runtime, ask)

    # then
    after = WEBHOOKS.read()
    told = {key: number - before.get(key, 0) for key, number in after.items()}
    assert {key: number for key, number in told.items() if number} == {
        ("sentinel", "accepted"): 1,
        ("sentinel", "repeated"): 1,
        ("sentinel", "refused"): 1,
    }


def test_log_lines_are_counted_by_event_whether_they_are_written_out_or_not() -> None:
    # given
    program = """
import json, sys, structlog
from quell.meters import LOG_LINES
from quell.runtime.logs import configure_logging
from quell.settings import LoggingSettings
configure_logging(LoggingSettings(level="error"))
log = structlog.get_logger("quell.x")
log.debug("secret %s", "planted", event_name="below")
log.warning("again %s", "planted", event_name="below")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broke", event_name="broken")
print(json.dumps([[*key, number] for key, number in sorted(LOG_LINES.read().items())]))
"""

    # when
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    # then
    assert json.loads(said.stdout) == [
        ["debug", "below", 1],
        ["error", "broken", 1],
        ["warning", "below", 1],
    ]
    assert "planted" not in said.stdout
