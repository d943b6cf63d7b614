"""Traces over real runs: whole across workers, told once, and silent about what incidents say."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.core.engine.conftest import world as world
from tests.engine_world import DEVICE, TENANT, World

from quell.domain.ids import RunId, WorkerId
from quell.domain.outcome import Failed
from quell.engine import ActRequest, RunRef
from quell.errors import SettingsError
from quell.journal import runs
from quell.journal.stories import story
from quell.runtime.logs import REDACTED, Redaction
from quell.telemetry.spans import spans_of
from quell.telemetry.traces import Traces, otlp_exporter

pytestmark = pytest.mark.anyio

PLAYBOOK = """\
quell: 1
playbook: contain
trigger: {incident: created}
steps:
  - {id: isolate, do: device.isolate, to: incident.devices}
  - {id: note, do: incident.comment, with: {text: "planted text {{ names(isolate.done) }}"}}
"""
NOTE = """\
quell: 1
playbook: remark
trigger: {incident: created}
steps:
  - {id: planted_secret, do: incident.comment, with: {text: "hello"}}
"""


class Told:
    """What a collector was told, and who tells it."""

    def __init__(self, world: World) -> None:
        self.exporter = InMemorySpanExporter()
        clean = Redaction(["planted_secret"]).clean
        self.traces = Traces(world.journal, self.exporter, worker="w", clean=clean)

    async def spans(self) -> Sequence[ReadableSpan]:
        """Give all spans, once everything is sent."""
        # the test's clock stands still: a story is read on another thread, in real time
        await self.traces.aclose()
        return self.exporter.get_finished_spans()


@pytest.fixture
def told(world: World) -> Told:
    """Let a world's next workers tell of the runs that they end."""
    return Told(world)


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    number: int = span.context.span_id
    return number


def named(spans: Sequence[ReadableSpan], name: str) -> ReadableSpan:
    (span,) = [span for span in spans if span.name == name]
    return span


async def test_a_trace_leads_from_the_change_to_the_effect(world: World, told: Told) -> None:
    # given
    world.new_engine(ended=told.traces.ended)

    # when
    ref = await world.run(PLAYBOOK, DEVICE)

    # then: one trace, in which each has its parent
    spans = await told.spans()
    assert len({span.context.trace_id for span in spans if span.context}) == 1
    parents = {id_of(span): span.parent.span_id if span.parent else None for span in spans}
    by_id = {id_of(span): span.name for span in spans}
    path: list[str] = []
    at: int | None = id_of(named(spans, "effect device.isolate"))
    while at is not None:
        path.append(by_id[at])
        at = parents[at]
    assert path == [
        "effect device.isolate",
        "step isolate",
        "run contain",
        "match",
        "sync.observe",
    ]
    # and they say how it stands on record
    effect = dict(named(spans, "effect device.isolate").attributes or {})
    assert effect["quell.state"] == "done"
    assert dict(named(spans, "run contain").attributes or {})["quell.run"] == ref.run_id
    assert all((span.start_time or 0) <= (span.end_time or 0) for span in spans)


async def test_a_trace_says_nothing_that_an_incident_says(world: World, told: Told) -> None:
    # given
    world.new_engine(ended=told.traces.ended)

    # when
    await world.run(PLAYBOOK, DEVICE)

    # then
    text = " ".join(span.to_json() for span in await told.spans())
    assert "effect device.isolate" in text
    for planted in ("Attack", "pc1", "d" * 40, "planted text"):
        assert planted not in text


async def test_a_secret_is_cut_out_of_a_trace_as_it_is_out_of_logs(
    world: World, told: Told
) -> None:
    # given
    world.new_engine(ended=told.traces.ended)

    # when
    await world.run(NOTE, DEVICE)

    # then
    text = " ".join(span.to_json() for span in await told.spans())
    assert "planted_secret" not in text
    assert json.dumps(f"step {REDACTED}") in text


async def test_a_run_that_two_workers_had_in_hand_is_one_trace_told_once(
    world: World, told: Told
) -> None:
    # given: the first worker fails, and is never heard of again
    world.new_engine(ended=told.traces.ended)
    ref = await world.start(PLAYBOOK, DEVICE)
    await world.journal.commit(runs.claim(ref, WorkerId("lost"), timedelta(seconds=20)))
    world.clock.pass_by(minutes=1)

    # when: the next one takes it over, and its wake-up comes three times
    world.new_engine(ended=told.traces.ended)
    await world.finish(ref)
    await asyncio.gather(*(world.engine.drive(ref) for _ in range(3)))

    # then
    run = named(await told.spans(), "run contain")
    assert dict(run.attributes or {})["quell.claims"] == 2


async def test_two_runs_of_one_change_are_one_trace_and_the_change_is_told_by_one(
    world: World, told: Told
) -> None:
    # given
    world.new_engine(ended=told.traces.ended)
    for playbook in (PLAYBOOK, NOTE):
        world.activate(playbook)
    incident_id = world.add_incident(DEVICE)

    # when
    for run_id in await world.match(incident_id):
        await world.finish(RunRef(TENANT, run_id))

    # then
    spans = await told.spans()
    assert len({span.context.trace_id for span in spans if span.context}) == 1
    assert {"run contain", "run remark"} <= {span.name for span in spans}
    named(spans, "sync.observe")
    named(spans, "match")


async def test_every_process_gives_one_thing_the_same_id(world: World) -> None:
    # given
    ref = await world.run(PLAYBOOK, DEVICE)

    # when
    first, again = [spans_of(await world.journal.ask(story(ref))) for _ in range(2)]

    # then
    assert first == again
    ids = [span.span_id for span in first]
    assert len(set(ids)) == len(ids)


async def test_what_a_person_orders_is_a_trace_of_its_own(world: World, told: Told) -> None:
    # given
    world.new_engine(ended=told.traces.ended)
    world.add_incident(DEVICE)
    order = ActRequest(action="device.isolate", kind="device", target="d" * 40, by="ann")

    # when
    (report,) = await world.engine.act(order)

    # then
    spans = await told.spans()
    run = next(span for span in spans if span.name.startswith("run "))
    assert run.parent is None
    assert dict(run.attributes or {})["quell.run"] == report.run_id
    named(spans, "effect device.isolate")


async def test_what_failed_is_marked(world: World, told: Told) -> None:
    # given
    world.new_engine(ended=told.traces.ended)
    world.lab.instead["isolate"] = [Failed(reason="planted reason")]

    # when
    await world.run(PLAYBOOK, DEVICE)

    # then
    spans = await told.spans()
    assert named(spans, "effect device.isolate").status.status_code.name == "ERROR"
    assert named(spans, "step note").status.status_code.name == "UNSET"
    assert "planted reason" not in " ".join(span.to_json() for span in spans)


async def test_a_run_that_is_gone_is_not_told_and_harms_nobody(world: World, told: Told) -> None:
    # when
    told.traces.ended(RunRef(TENANT, RunId("gone")))

    # then
    assert list(await told.spans()) == []


def test_without_the_extra_an_endpoint_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsError) as refused:
        otlp_exporter("http://127.0.0.1:1", {})
    assert "quell[otel]" in refused.value.remedy


def test_who_does_not_trace_or_measure_loads_neither_library() -> None:
    program = (
        "import sys, quell.cli.up, quell.runtime, quell.http; "
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'prometheus'))])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.strip() == "[]"
