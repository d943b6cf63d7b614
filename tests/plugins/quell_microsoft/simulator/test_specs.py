"""What quell sends to Sentinel, and what the simulator answers, against Microsoft's description."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.plugins.quell_microsoft.simulator.swagger import Swagger

from quell.domain.ids import TenantId, WorkerId
from quell.domain.incident import Task
from quell.journal import Journal
from quell.sync import Sync, SyncPolicy
from quell_defender import DefenderIncidents
from quell_microsoft.simulator.call import Call
from quell_microsoft.simulator.dispatch import Dispatcher
from quell_microsoft.simulator.server import RunningSimulator
from quell_microsoft.simulator.wire import Answer
from quell_sentinel import SentinelIncidents

if TYPE_CHECKING:
    from tests.plugins.conftest import SourceDesk

SPECS = (
    Path(os.environ.get("QUELL_SPECS") or Path(__file__).parents[5] / "shared" / "specs")
    / "sentinel"
)
NAME = "Incidents.2024-03-01.json"
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not (SPECS / NAME).is_file(), reason="the interface description is not here"
    ),
]
BASE = (
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w-s"
    "/providers/Microsoft.SecurityInsights/incidents"
)
VERSION = {"api-version": "2025-09-01"}


@pytest.fixture(scope="module")
def description() -> Swagger:
    return Swagger(SPECS, NAME)


@dataclass(slots=True)
class Heard:
    """One request to Sentinel and its answer, as they went over the wire."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int
    answer: Any

    def faults(self, description: Swagger) -> list[str]:
        """Say what breaks the description on either side."""
        sent = description.request_faults(self.method, self.path, self.query, self.body)
        came = description.answer_faults(self.method, self.path, self.status, self.answer)
        which = f"{self.method} {self.path.rpartition('SecurityInsights')[2]} {self.status}"
        return [f"{which}: {fault}" for fault in (*sent, *came)]


@dataclass(slots=True)
class Wire:
    """Everything that was said to Sentinel."""

    heard: list[Heard] = field(default_factory=list[Heard])

    def note(self, call: Call, answer: Answer) -> None:
        """Keep one exchange; copied, for the tenant goes on changing."""
        if "/incidents" in call.path and "Microsoft.SecurityInsights" in call.path:
            body = json.loads(call.content) if call.content else None
            shown = None if answer.body is None else json.loads(answer.content())
            query = dict(call.query)
            self.heard.append(Heard(call.method, call.path, query, body, answer.status, shown))

    def kinds(self) -> set[tuple[str, str, int]]:
        """Name the kinds of exchanges: method, last named segment, status."""
        found: set[tuple[str, str, int]] = set()
        for one in self.heard:
            parts = one.path.rpartition("/incidents")[2].strip("/").split("/")
            kind = parts[1] if len(parts) > 1 else "incident" if parts[0] else "incidents"
            found.add((one.method, kind, one.status))
        return found


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Listen to all calls on their way through the simulator."""
    found, answering = Wire(), Dispatcher.answer

    def listening(dispatcher: Dispatcher, call: Call) -> Answer:
        answer = answering(dispatcher, call)
        found.note(call, answer)
        return answer

    monkeypatch.setattr(Dispatcher, "answer", listening)
    return found


@pytest.fixture
async def sources(
    wire: Wire, desk: SourceDesk
) -> AsyncIterator[tuple[SourceDesk, Sync, SentinelIncidents]]:
    desk.turn(throttle_scale=0)
    (defender,) = DefenderIncidents.build(desk.context)
    (sentinel,) = SentinelIncidents.build(desk.context)
    journal = Journal.open("sqlite://", clock=desk.clock)
    sync = Sync(
        journal=journal,
        tenant_id=TenantId("t"),
        sources=[(defender, "detects"), (sentinel, "mirrors")],
        policy=SyncPolicy(mode="replica"),
        clock=desk.clock,
        worker=WorkerId("w"),
        wake=lambda: None,
        hmac_key=b"k" * 32,
    )
    yield desk, sync, sentinel
    journal.close()


async def test_all_that_sync_says_to_sentinel_is_as_described(
    wire: Wire,
    description: Swagger,
    sources: tuple[SourceDesk, Sync, SentinelIncidents],
) -> None:
    # given
    desk, sync, _ = sources
    tenant = desk.tenant
    workspace = tenant.workspaces[0]
    original = tenant.queue.new_incident(
        {"displayName": "one", "severity": "high", "customTags": ["vip"], "description": "d"}
    )

    async def settle() -> None:
        for _ in range(4):
            tenant.clock.advance(60)
            await sync.pass_once()

    # when
    await settle()
    (copy,) = workspace.incidents.values()
    verdict = {"classification": "falsePositive", "determination": "notMalicious"}
    closing = {"status": "resolved", "resolvingComment": "fine", **verdict}
    tenant.queue.change_incident(original, closing, "ada@tailspin.example")
    tenant.queue.comment(original, "<b>seen</b>", "ada@tailspin.example")
    await settle()
    owner = {"assignedTo": "Ada", "email": "ada@tailspin.example"}
    copy.properties |= {"title": "renamed", "owner": owner, "status": "Active"}
    workspace.touch(copy, by="analyst")
    tenant.queue.change_incident(original, {"assignedTo": None, "customTags": []}, "bob@x")
    await settle()

    # then
    assert [fault for one in wire.heard for fault in one.faults(description)] == []
    assert {
        ("GET", "incidents", 200),
        ("PUT", "incident", 201),
        ("PUT", "incident", 200),
        ("PUT", "comments", 201),
    } <= wire.kinds()


async def test_all_that_a_source_may_ask_or_write_is_as_described(
    wire: Wire,
    description: Swagger,
    sources: tuple[SourceDesk, Sync, SentinelIncidents],
) -> None:
    # given
    desk, _, sentinel = sources
    desk.turn(connector=True, connector_delay_seconds=1)
    alert = {
        "id": "da1",
        "title": "A",
        "severity": "high",
        "evidence": [
            {"@odata.type": "#microsoft.graph.security.ipEvidence", "ipAddress": "192.0.2.7"}
        ],
    }
    original = desk.tenant.queue.new_incident({"displayName": "D"})
    desk.tenant.queue.add_alert(alert, original.body["id"])
    desk.tenant.clock.advance(700)
    desk.tenant.clock.settle()
    copy = desk.tenant.workspaces[0].find_copy_of(original.body["id"])
    assert copy is not None

    # when
    comment = await sentinel.comment(copy.name, "text", "key")
    await sentinel.comment(copy.name, "text", "key")
    await sentinel.edit_comment(copy.name, comment.key, "other text")
    await sentinel.put_task(copy.name, Task(key="t", title="Call", description="d"), "t")
    await sentinel.fetch(copy.name)

    # then
    assert [fault for one in wire.heard for fault in one.faults(description)] == []
    assert {
        ("GET", "incident", 200),
        ("GET", "comments", 200),
        ("PUT", "comments", 201),
        ("PUT", "tasks", 201),
        ("GET", "tasks", 200),
        ("POST", "alerts", 200),
    } <= wire.kinds()


def test_the_simulator_answers_every_operation_as_described(
    wire: Wire,
    description: Swagger,
    simulator: RunningSimulator,
    control: httpx.Client,
    as_app: Callable[[str, str], httpx.Client],
) -> None:
    # given
    control.patch("/config", json={"connector": True, "connector_delay_seconds": 1})
    proof = [{"@odata.type": "#microsoft.graph.security.ipEvidence", "ipAddress": "192.0.2.7"}]
    alert = {"id": "da1", "evidence": proof, "categories": ["Discovery"]}
    control.post("/defender/incidents", json={"displayName": "D", "alerts": [alert]})
    control.post("/clock/advance", json={"seconds": 5})
    arm = as_app("everything", "arm")
    arm.params = httpx.QueryParams(VERSION)
    (copy,) = simulator.tenant.workspaces[0].incidents.values()
    incidents = simulator.tenant.workspaces[0].arm_id("incidents")
    mine, theirs = f"{incidents}/mine", f"{incidents}/{copy.name}"
    bookmark = simulator.tenant.workspaces[0].arm_id("bookmarks/b1")

    # when
    arm.put(mine, json={"properties": {"title": "M", "severity": "Low", "status": "New"}})
    arm.put(bookmark, json={"properties": {"displayName": "B", "query": "T | take 1"}})
    parts = {
        "comments": {"message": "m"},
        "tasks": {"title": "t", "status": "New"},
        "relations": {"relatedResourceId": bookmark},
    }
    for kind, properties in parts.items():
        part = f"{mine}/{kind}/one"
        for answer in (arm.put(part, json={"properties": properties}), arm.get(part)):
            assert answer.status_code in (200, 201)
        arm.put(part, json={"properties": properties, "etag": answer.json()["etag"]})
        arm.get(f"{mine}/{kind}")
    for incident in (mine, theirs):
        for kind in ("alerts", "entities", "bookmarks"):
            arm.post(f"{incident}/{kind}")
        arm.get(incident)
    arm.put(mine, json={"properties": {"title": "M", "severity": "Low", "status": "New"}})
    for kind in parts:
        arm.delete(f"{mine}/{kind}/one")
        arm.delete(f"{mine}/{kind}/one")
        arm.get(f"{mine}/{kind}/one")
    arm.get(incidents, params={**VERSION, "$top": "1", "$orderby": "properties/title asc"})
    for incident in (mine, mine, theirs):
        arm.delete(incident)

    # then
    assert [fault for one in wire.heard for fault in one.faults(description)] == []
    good = [one for one in wire.heard if one.status < 300]
    asked = [description.find(one.method, one.path) for one in good]
    kinds = {(found[0].method, found[0].template) for found in asked if found}
    assert kinds == {(one.method, one.template) for one in description.operations}
    assert {409, 404, 400} <= {one.status for one in wire.heard}


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "fault"),
    [
        ("GET", "", {}, None, "api-version is missing"),
        ("GET", "", {**VERSION, "$select": "x"}, None, "unknown option $select"),
        ("GET", "", {**VERSION, "$top": "many"}, None, "$top is no integer: 'many'"),
        ("PATCH", "/n1", VERSION, {}, f"no operation PATCH {BASE}/n1"),
        ("PUT", "/n1", VERSION, None, "the body is missing"),
        ("POST", "/n1/alerts", VERSION, {}, "a body where none is described"),
        (
            "PUT", "/n1/comments/c1", VERSION,
            {"properties": {"message": "m", "author": {"name": "me"}}},
            "$.properties.author is read-only",
        ),
        (
            "PUT", "/n1/tasks/t1", VERSION, {"properties": {"title": "t"}},
            "$.properties: 'status' is a required property",
        ),
        (
            "PUT", "/n1/tasks/t1", VERSION,
            {"properties": {"title": "t", "status": "New", "due": "x"}},
            "$.properties.due is not described",
        ),
    ],
)  # fmt: skip
def test_the_description_is_taken_seriously(
    description: Swagger, method: str, path: str, query: dict[str, str], body: Any, fault: str
) -> None:
    assert fault in description.request_faults(method, BASE + path, query, body)


async def test_only_sentinel_is_listened_to(wire: Wire, desk: SourceDesk) -> None:
    # when
    (defender,) = DefenderIncidents.build(desk.context)
    await desk.poll(defender)

    # then
    assert wire.heard == []
    assert any(row["route"].startswith("/v1.0") for row in desk.tenant.ledger.calls_as_json())
