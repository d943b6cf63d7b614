"""A real worker at work: what its page and its traces say is what the journal says."""

from __future__ import annotations

import tomllib
from collections import Counter

import httpx
import sqlalchemy as sa
import tomli_w
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.core.fleet.conftest import fleet as fleet
from tests.core.fleet.conftest import own_redis as own_redis
from tests.core.http.test_watch import samples
from tests.core.telemetry.test_otlp import Collector
from tests.core.telemetry.test_otlp import collector as collector
from tests.fleet_stage import TENANT, Fleet
from tests.servers import free_port

from quell.domain.hub import WriteState
from quell.domain.run import EffectState
from quell.journal import effects, runs
from quell.journal.tables import incident_writes
from quell.runtime import Runtime


def watch(fleet: Fleet, collector: Collector) -> str:
    """Give every process of a fleet a web door and a collector; gives the door's address."""
    settings = tomllib.loads(fleet.config.read_text())
    port = free_port()
    endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    more = {"http": {"port": port}, "traces": {"endpoint": endpoint}}
    fleet.config.write_text(tomli_w.dumps({**settings, **more}))
    return f"http://127.0.0.1:{port}"


def told_effects(collector: Collector) -> Counter[str]:
    """Count the effects that traces told of, each by its own id."""
    told: dict[bytes, str] = {}
    for _, _, body in collector.taken:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                if span.name.startswith("effect "):
                    told[span.span_id] = span.name.removeprefix("effect ")
    return Counter(told.values())


def on_record(runtime: Runtime, *states: EffectState) -> Counter[str]:
    """Count the journal's effects in some states by action."""
    rows = runtime.journal.ask_now(effects.listed(TENANT, states=states, limit=10_000))
    return Counter(row.action for row in rows)


def written_to(runtime: Runtime) -> Counter[str]:
    """Count the writes that products confirmed, by source."""
    is_applied = incident_writes.c.state == WriteState.APPLIED.value
    chosen = sa.select(incident_writes.c.source_id).where(is_applied)
    return Counter(runtime.journal.ask_now(lambda tx: tx.execute(chosen).scalars().all()))


def names_of_targets(runtime: Runtime) -> set[str]:
    """List every name of whatever was acted on, but for incidents, which have none."""
    rows = runtime.journal.ask_now(effects.listed(TENANT, limit=10_000))
    aliases = [alias for row in rows for alias in row.target["aliases"]]
    return {str(alias["value"]) for alias in aliases if len(str(alias["value"])) > 5}


def test_a_workers_page_and_traces_say_what_the_journal_says(
    fleet: Fleet, collector: Collector
) -> None:
    # given
    door = watch(fleet, collector)

    # when: incidents arrive, and everything about them is done
    with fleet.opened() as (runtime, control):
        fleet.start_worker("one")

        async def work() -> None:
            await fleet.release(runtime, control, "arrive")
            await control.play("online")  # a device that was away answers
            await fleet.finish(runtime, control)

        runtime.run(work())
        text = httpx.get(f"{door}/metrics", trust_env=False).text
        ready = httpx.get(f"{door}/readyz", trust_env=False)
        assert fleet.stop_worker("one") == 0
        done, settled = on_record(runtime, EffectState.DONE), on_record(runtime, *EffectState)
        ended = runtime.journal.ask_now(runs.listed(TENANT, limit=1000))
        written, names = written_to(runtime), names_of_targets(runtime)

    # then
    page = samples(text)
    counted = {
        dict(labels)["action"]: int(number)
        for labels, number in page["quell_effects_total"].items()
        if dict(labels)["outcome"] == "done"
    }
    assert sum(done.values()) > 0
    assert counted == dict(done)
    assert sum(page["quell_runs_ended_total"].values()) == len(ended)
    assert written == {
        dict(labels)["source"]: int(number)
        for labels, number in page["quell_sync_writes_total"].items()
        if dict(labels)["outcome"] == "applied"
    }
    assert page["quell_wake_ups_total"][("fate", "sent"),] > 0
    assert set(page["quell_duty_held"].values()) == {1.0}
    assert max(page["quell_source_lag_seconds"].values()) < 60
    assert ready.json() == {"ok": True, "problems": []}
    assert told_effects(collector) == settled

    # and neither names whom it was about
    sent = b"".join(body for _, _, body in collector.taken)
    assert names
    assert not [name for name in names if name in text or name.encode() in sent]
