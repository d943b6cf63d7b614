"""Traces from settings to a collector: over real HTTP, at the end of a run of a real process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import tomli_w
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.core.http.test_door import TENANT as SETTINGS
from tests.engine_world import TENANT, World

from quell.domain.ids import RunId
from quell.domain.run import RunState
from quell.engine import RunRef
from quell.journal import playbooks, runs
from quell.playbooks import digest_of
from quell.runtime import Runtime, open_runtime

KEY = "planted-collector-key"
PLAYBOOK = """\
quell: 1
playbook: nothing
steps:
  - {id: look, do: user.get, to: "[]"}
"""


class Collector(ThreadingHTTPServer):
    """Takes whatever is sent to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.taken: list[tuple[str, str, bytes]] = []


def taken_by(server: object) -> list[tuple[str, str, bytes]]:
    assert isinstance(server, Collector)
    return server.taken


class Taking(BaseHTTPRequestHandler):
    """Answers one sender."""

    def do_POST(self) -> None:  # the library's own name
        """Take a request."""
        body = self.rfile.read(int(self.headers["content-length"]))
        encoding = self.headers.get("content-encoding", "")
        assert encoding == ""
        taken_by(self.server).append((self.path, self.headers["x-key"], body))
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the library's own name
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Run a collector on loopback."""
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def end_a_run(runtime: Runtime) -> RunState:
    """Let a run with nothing to do come to its end."""
    world = World(runtime.journal)
    incident_id = world.add_incident()
    world.close()
    digest = digest_of(PLAYBOOK)
    runtime.journal.commit_now(playbooks.store(TENANT, "nothing", digest, PLAYBOOK, name="n.yml"))
    run = runs.NewRun(
        id=RunId("r1"),
        playbook_id="nothing",
        digest=digest,
        cause="test",
        incident_id=incident_id,
    )
    runtime.journal.commit_now(runs.create(TENANT, run))
    return runtime.run(runtime.tenant().engine.drive(RunRef(TENANT, run.id)))


def test_a_run_that_ends_is_told_to_the_collector_with_its_key(
    collector: Collector, tmp_path: Path
) -> None:
    # given
    endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    config = tmp_path / "quell.toml"
    traces = {"endpoint": endpoint, "headers": {"x-key": KEY}}
    settings = {"state_dir": "state", "traces": traces, "tenant": {TENANT: SETTINGS}}
    config.write_text(tomli_w.dumps(settings))

    # when
    with open_runtime(config) as runtime:
        state = end_a_run(runtime)

    # then: what was left was sent before the process closed
    assert state is RunState.DONE
    ((path, key, body),) = collector.taken
    assert (path, key) == ("/v1/traces", KEY)
    request = ExportTraceServiceRequest.FromString(body)
    (told,) = request.resource_spans
    about = {one.key: one.value.string_value for one in told.resource.attributes}
    assert about["service.name"] == "quell"
    names = {span.name for scope in told.scope_spans for span in scope.spans}
    assert "run nothing" in names
    assert KEY.encode() not in body


def test_a_collector_that_is_away_keeps_nobody_from_work(tmp_path: Path) -> None:
    # given
    config = tmp_path / "quell.toml"
    traces = {"endpoint": "http://127.0.0.1:1/v1/traces"}
    config.write_text(
        tomli_w.dumps({"state_dir": "state", "traces": traces, "tenant": {TENANT: SETTINGS}})
    )

    # when, then
    with open_runtime(config) as runtime:
        assert end_a_run(runtime) is RunState.DONE
