"""What a question and a claim cost in a journal with a thousand and with a million finished runs.

`python -m bench.journal 1000 100000` measures other sizes. Both journals are open at a time and
are asked by turns, on each engine; the rows are written by the database itself.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from tests.servers import fresh_database, postgres_server

from bench.figure import Report, check, median, spread, to_text
from quell.domain.ids import RunId, TenantId, WorkerId
from quell.domain.run import RunState
from quell.journal import Journal, Question, due, effects, run_events, runs, steps
from quell.journal.columns import to_micros
from quell.journal.due import Due
from quell.journal.prepared import among
from quell.journal.run_rows import NewRun, RunRef
from quell.journal.standing import SENT, UNDER_WAY
from quell.journal.tables import effects as effects_table
from quell.journal.tables import runs as runs_table

__all__ = ["ACTS", "Timed", "fill", "measure", "timed"]

TENANT = TenantId("bench")
SMALL, LARGE = 1_000, 1_000_000
#: runs that are open in each journal: what lists and sweeps are about
OPEN = 200
#: times that each thing is done, and how many before it counts
ROUNDS, WARM = 60, 10
LEASE = timedelta(seconds=60)
#: times; aimed at are 1.1
GOAL = 1.5
EMPTY = """'{"v":1,"body":{}}'"""

RUNS = """
INSERT INTO runs (tenant_id, id, playbook_id, digest, incident_id, revision, cause, origin, depth,
    state, priority, options, fence, cancel_requested, takeovers, error, created_at, finished_at)
SELECT 'bench', {name}, 'p' || (n - n / 7 * 7), 'd', 'i' || (n / 3), 1, 'c' || n, 'live', 0,
    CASE WHEN n = n / 20 * 20 THEN 'failed' ELSE 'done' END, 5, {empty}, 1, {false}, 0, '',
    {first} + n * 1000000, {first} + n * 1000000 + 500000
FROM {numbers}
"""
STEPS = """
INSERT INTO steps (tenant_id, run_id, step_key, state, attempt, plan, results, error)
SELECT 'bench', {name}, step, 'done', 1, {empty}, {empty}, ''
FROM {numbers}, (SELECT 'a' AS step UNION SELECT 'b') AS kinds
"""
EVENTS = """
INSERT INTO run_events (tenant_id, run_id, seq, kind, body, at)
SELECT 'bench', {name}, seq, 'step_done', {empty}, {first} + n * 1000000
FROM {numbers}, (SELECT 1 AS seq UNION SELECT 2) AS kinds
"""
EFFECTS = """
INSERT INTO effects (tenant_id, effect_key, seq, run_id, step_key, action, system, kind, target_id,
    target_kind, target, params, params_digest, state, vendor_key, reason, by, policy,
    decided_at, deadline, settled_at)
SELECT 'bench', 'e' || n, 1, {name}, 'a', 'device.isolate', 'lab', 'contain', 't' || (n - n / 5000 * 5000),
    'device', {empty}, {empty}, 'd', 'done', 'v' || n, '', 'p', '1',
    {first} + n * 1000000, {first} + n * 1000000, {first} + n * 1000000
FROM {numbers}
"""
NUMBERS = {
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count})"
    " SELECT n FROM s) AS numbers",
    "postgresql": "generate_series(1, CAST({count} AS bigint)) AS numbers(n)",
}
#: names in no order, as ids are: neighbours in time are no neighbours in an index
NAMES = {
    "sqlite": "printf('%012x', (n * 2654435761) % 4294967291) || n",
    "postgresql": "md5(n::text)",
}


@dataclass(slots=True)
class Timed:
    """One journal, its size, and what each thing took in it."""

    journal: Journal
    count: int
    names: list[str]
    seconds: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    claimed: int = 0


def measure(sizes: tuple[int, int] = (SMALL, LARGE)) -> Report:
    """Measure on both engines."""
    report = Report(
        name="journal",
        settings="SQLite file FULL and PostgreSQL synchronous_commit=on; "
        f"{sizes[0]:,} against {sizes[1]:,} finished runs, {OPEN} open ones",
        rounds=ROUNDS,
    )
    for engine in ("sqlite", "postgresql"):
        with _pair(engine, sizes) as (small, large):
            _take(small, large)
            _tell(report, engine, small, large)
    return report


@contextmanager
def _pair(engine: str, sizes: tuple[int, int]) -> Generator[tuple[Timed, Timed]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quell-bench-")))
        server = stack.enter_context(postgres_server()) if engine == "postgresql" else ""
        made: list[Timed] = []
        for count in sizes:
            url = (
                stack.enter_context(fresh_database(server))
                if server
                else f"sqlite:///{folder / f'{count}.sqlite3'}"
            )
            journal = Journal.open(url)
            stack.callback(journal.close)
            fill(url, engine, count)
            made.append(timed(journal, count))
        yield made[0], made[1]


def timed(journal: Journal, count: int) -> Timed:
    """Make a journal that was filled ready to be asked."""
    return Timed(journal, count, _names(journal))


def fill(url: str, engine: str, count: int) -> None:
    """Write finished runs with their details, and open ones beside them."""
    first = to_micros(datetime.now(UTC) - timedelta(seconds=count + 10_000))
    values = {
        "name": NAMES[engine],
        "numbers": NUMBERS[engine].format(count=count),
        "first": first,
        "empty": EMPTY,
        "false": "false" if engine == "postgresql" else "0",
    }
    made = sa.create_engine(url)
    with made.begin() as conn:
        for statement in (RUNS, STEPS, EVENTS, EFFECTS):
            conn.exec_driver_sql(statement.format(**values))
    if engine == "postgresql":
        # as its own upkeep does; without it every first reader cleans up behind the writer
        with made.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.exec_driver_sql("VACUUM ANALYZE")
    made.dispose()
    _open_runs(url)


def _open_runs(url: str) -> None:
    """Leave runs waiting: half for a time that has come, half for one that has not."""
    journal = Journal.open(url)
    for number in range(OPEN):
        ref = _create(journal, f"open{number:04}")
        claim = journal.commit_now(runs.claim(ref, WorkerId("w"), LEASE))
        assert claim is not None  # nobody else is here
        wake_at = journal.now() + timedelta(hours=1 if number % 2 else -1)
        journal.commit_now(runs.rest(ref, claim.run.fence, wake_at))
    journal.close()


def _names(journal: Journal) -> list[str]:
    """Choose finished runs to be shown, from all times."""
    statement = sa.select(runs_table.c.id).where(runs_table.c.state == RunState.DONE.value)
    some = statement.order_by(runs_table.c.id).limit(ROUNDS + WARM)
    return journal.ask_now(lambda tx: list(tx.execute(some).scalars()))


def _take(small: Timed, large: Timed) -> None:
    for number in range(ROUNDS + WARM):
        for name, act in ACTS.items():
            pair = (small, large) if number % 2 else (large, small)
            for one in pair:
                begin = time.perf_counter()
                act(one, number)
                if number >= WARM:
                    one.seconds.setdefault(name, []).append(time.perf_counter() - begin)


def _tell(report: Report, engine: str, small: Timed, large: Timed) -> None:
    for name in ACTS:
        before, after = median(small.seconds[name]), median(large.seconds[name])
        ratios = [
            after / before
            for before, after in zip(small.seconds[name], large.seconds[name], strict=True)
        ]
        note = f"{before * 1000:.2f} ms, {after * 1000:.2f} ms; rounds {spread(ratios)}"
        report.add_goal(f"{engine}: {name}", after / before, "times", below=GOAL)
        report.figures[-1] = replace(report.figures[-1], note=note)
    for one in (small, large):
        check(report, f"{engine}: claimed beside {one.count:,}", one.claimed, ROUNDS + WARM)
        check(report, f"{engine}: finished runs", _finished(one.journal), one.count)


def _finished(journal: Journal) -> int:
    final = [state.value for state in RunState if state.is_final]
    statement = sa.select(sa.func.count()).where(runs_table.c.state.in_(final))
    return int(journal.ask_now(lambda tx: tx.execute(statement).scalar_one()))


def _create(journal: Journal, name: str) -> RunRef:
    run = NewRun(id=RunId(name), playbook_id="p", digest="d", cause=name)
    journal.commit_now(runs.create(TENANT, run))
    return RunRef(TENANT, RunId(name))


def _list(one: Timed, number: int) -> None:
    assert len(one.journal.ask_now(runs.listed(TENANT))) == 50  # the work


def _list_open(one: Timed, number: int) -> None:
    found = one.journal.ask_now(runs.listed(TENANT, states=[RunState.WAITING]))
    assert len(found) == 50  # the work


def _list_failed(one: Timed, number: int) -> None:
    found = one.journal.ask_now(runs.listed(TENANT, states=[RunState.FAILED]))
    assert len(found) == 50  # the work


def _list_incident(one: Timed, number: int) -> None:
    one.journal.ask_now(runs.listed(TENANT, incident_id=f"i{number % 300}"))  # type: ignore[arg-type] # as typed by a person


def _show(one: Timed, number: int) -> None:
    ref = RunRef(TENANT, RunId(one.names[number]))
    ask = one.journal.ask_now
    found = ask(runs.get(ref))
    assert ask(steps.listed(TENANT, found.id))  # the work
    assert ask(effects.listed(TENANT, run_id=found.id))  # the work
    assert ask(run_events.of_run(TENANT, found.id))  # the work


def _claim(one: Timed, number: int) -> None:
    ref = _create(one.journal, f"new{number:04}")
    claim = one.journal.commit_now(runs.claim(ref, WorkerId("w"), LEASE))
    one.claimed += claim is not None


def _look(one: Timed, number: int) -> None:
    for kind in Due:
        one.journal.ask_now(due.is_there(TENANT, kind))


def _sweep(one: Timed, number: int) -> None:
    for kind in Due:
        one.journal.commit_now(due.find(TENANT, kind, limit=100))


def _guard(one: Timed, number: int) -> None:
    """Count as the guard does before each effect: how many are under way, and in the hour."""
    mine = sa.and_(effects_table.c.tenant_id == TENANT, effects_table.c.kind == "contain")
    in_hour = effects_table.c.decided_at > datetime.now(UTC) - timedelta(hours=1)
    counted = (
        among(effects_table.c.state, UNDER_WAY),
        among(effects_table.c.state, SENT) & in_hour,
    )
    for where in counted:
        statement = sa.select(sa.func.count()).where(mine, where)
        one.journal.ask_now(_scalar(statement))


def _scalar(statement: sa.Select[int]) -> Question[int]:
    return lambda tx: int(tx.execute(statement).scalar_one())


ACTS: dict[str, Callable[[Timed, int], None]] = {
    "list": _list,
    "list what waits": _list_open,
    "list what failed": _list_failed,
    "list of an incident": _list_incident,
    "show": _show,
    "create and claim": _claim,
    "look for what is due": _look,
    "sweep": _sweep,
    "the guard's counts": _guard,
}


def main(arguments: Sequence[str]) -> None:
    """Measure two sizes that are given."""
    sizes = tuple(int(one) for one in arguments) or (SMALL, LARGE)
    print(to_text(measure((sizes[0], sizes[-1]))))


if __name__ == "__main__":
    main(sys.argv[1:])
