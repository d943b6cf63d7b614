"""Events all the way, over HTTPS: from a simulated Defender into the tables that we define."""

from __future__ import annotations

import json
import random
import string
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from quell import EventTable
from quell.domain.ids import SourceId, TenantId
from quell.errors import BadAnswer, RequestRefused
from quell.journal import Journal
from quell.stream import StreamPolicy, Streams, TableStatus
from quell_defender.events import DefenderEvents, event_tables
from quell_microsoft import GraphClient
from quell_microsoft.simulator.state.clock import stamp
from quell_microsoft.simulator.state.collection import CollectionRule, declare
from quell_sentinel.ingestion import WorkspaceSink
from quell_sentinel.tables import define
from quell_sentinel.templates import as_json

from .conftest import Context, SourceDesk

pytestmark = pytest.mark.anyio

TENANT = TenantId("t")
GROUPS = sorted({table.group for table in event_tables()})


class Stage:
    """A tenant with Defender and a workspace, and quell's streams between them."""

    def __init__(self, desk: SourceDesk) -> None:
        self.desk = desk
        self.journal = Journal.open("sqlite://", clock=desk.clock)
        self.policy = StreamPolicy(
            tables=("*",), lookback=timedelta(days=1), overlap=timedelta(minutes=30)
        )
        self.rows_at_most = 20_000
        self.identity = "sync"
        self.give_rules(dict.fromkeys(GROUPS, desk.tenant.dcr_immutable_id))
        self.deploy()

    def give_rules(self, rules: dict[str, str]) -> None:
        """Put rules into the settings of the workspace."""
        (workspace,) = self.desk.sections["sentinel"]["workspaces"]
        workspace["rules"] = {group: {"id": rule} for group, rule in rules.items()}

    def deploy(self) -> None:
        """Make in the workspace what `quell sentinel tables` writes."""
        template = json.loads(as_json(define(event_tables(), "Quell")))
        whole = CollectionRule()
        for resource in template["resources"]:
            if resource["type"] == "Microsoft.Insights/dataCollectionRules":
                rule = declare(resource)
                whole.streams |= rule.streams
                whole.tables |= rule.tables
        self.desk.tenant.collection = whole

    def source(self) -> DefenderEvents:
        """Build the source."""
        graph = self.desk.connector(GraphClient, "reader")
        return DefenderEvents(SourceId("defender"), graph, rows_at_most=self.rows_at_most)

    def streams(self, *names: str) -> Streams:
        """Build streams for these tables."""

        async def is_replica(source_id: SourceId) -> bool:
            return True

        context = Context(desk=self.desk, clock=self.desk.clock, identity=self.identity)
        return Streams.build(
            journal=self.journal,
            tenant_id=TENANT,
            sources=[(self.source(), [one for one in event_tables() if one.name in names])],
            sinks=WorkspaceSink.build(context),
            policy=self.policy,
            clock=self.desk.clock,
            is_replica=is_replica,
        )

    async def stream(self, *names: str) -> Sequence[TableStatus]:
        """Read and send once."""
        streams = self.streams(*names)
        for reader in streams.readers:
            await streams.read(reader)
        for sender in streams.senders:
            await streams.send(sender)
        return await streams.status()

    def landed(self, table: str) -> list[dict[str, Any]]:
        """List the rows of one of our tables."""
        return self.desk.tenant.ingested.get(f"Custom-Quell{table}_CL", [])

    def happen(self, table: str, count: int, *, seconds_apart: float = 60.0, **row: Any) -> None:
        """Let events happen, the last of them just now."""
        now = self.desk.clock.now()
        rows = self.desk.tenant.events.setdefault(table, [])
        for number in range(count):
            moment = now - timedelta(seconds=seconds_apart * (count - number))
            rows.append({"Timestamp": stamp(moment), "ReportId": len(rows), **row})


@pytest.fixture
async def stage(desk: SourceDesk) -> AsyncIterator[Stage]:
    found = Stage(desk)
    yield found
    found.journal.close()


def an_alert(**more: Any) -> dict[str, Any]:
    return {
        "id": "da1",
        "incidentId": "1",
        "title": "Bad tool",
        "severity": "high",
        "newInTheProduct": {"deep": [1, 2]},
        "evidence": [
            {
                "@odata.type": "#microsoft.graph.security.userEvidence",
                "verdict": "malicious",
                "remediationStatus": "active",
                "roles": ["compromised"],
                "detailedRoles": ["Main attacker"],
                "userAccount": {"accountName": "kim", "userSid": "S-1-5-21-1"},
                "stream": {"never": "seen"},
            },
            {
                "@odata.type": "#microsoft.graph.security.processEvidence",
                "processId": 4711,
                "imageFile": {"fileName": "bad.exe", "sha1": "0" * 40, "fileSize": 12},
            },
        ],
        **more,
    }


async def test_alerts_arrive_with_what_no_column_was_made_for(stage: Stage) -> None:
    # given
    now = stamp(stage.desk.clock.now())
    stage.desk.tenant.queue.add_alert(an_alert(createdDateTime=now, lastUpdateDateTime=now), None)

    # when
    await stage.stream("Alerts")

    # then
    (row,) = stage.landed("Alerts")
    assert (row["AlertId"], row["AlertTitle"], row["Severity"]) == ("da1", "Bad tool", "high")
    assert row["More"] == {"newInTheProduct": {"deep": [1, 2]}}
    assert row["RowSource"] == "t/defender"
    assert row["TimeGenerated"] == row["LastUpdateDateTime"]


async def test_each_evidence_is_a_row_with_roles_verdict_and_all_that_it_said(
    stage: Stage,
) -> None:
    # given
    now = stamp(stage.desk.clock.now())
    alert = an_alert(createdDateTime=now, lastUpdateDateTime=now)
    stage.desk.tenant.queue.add_alert(alert, None)

    # when
    await stage.stream("Evidence")

    # then
    user, process = stage.landed("Evidence")
    assert (user["EvidenceType"], user["Verdict"]) == ("userEvidence", "malicious")
    assert (user["Roles"], user["DetailedRoles"]) == (["compromised"], ["Main attacker"])
    assert (user["AccountName"], user["RemediationStatus"]) == ("kim", "active")
    assert (process["FileName"], process["FileSize"], process["ProcessId"]) == ("bad.exe", 12, 4711)
    assert [user["Raw"], process["Raw"]] == alert["evidence"]


async def test_a_changed_alert_is_a_new_row_and_an_unchanged_one_is_not(stage: Stage) -> None:
    # given
    now = stamp(stage.desk.clock.now())
    alert = stage.desk.tenant.queue.add_alert(
        an_alert(createdDateTime=now, lastUpdateDateTime=now), None
    )
    await stage.stream("Alerts")
    await stage.stream("Alerts")
    assert len(stage.landed("Alerts")) == 1

    # when
    await stage.desk.clock.sleep(60)
    stage.desk.tenant.queue.change_alert(alert, {"status": "resolved"}, "kai")
    await stage.stream("Alerts")

    # then
    assert [row["Status"] for row in stage.landed("Alerts")] == [None, "resolved"]


async def test_an_alert_that_breaks_its_page_stops_no_other_and_is_asked_for_again(
    stage: Stage,
) -> None:
    # given
    for number in range(5):
        await stage.desk.clock.sleep(60)
        now = stamp(stage.desk.clock.now())
        alert = an_alert(createdDateTime=now, lastUpdateDateTime=now) | {"id": f"da{number}"}
        stage.desk.tenant.queue.add_alert(alert, None)
    stage.desk.turn(poison_rows=["da2"])

    # when
    await stage.stream("Alerts")
    await stage.desk.clock.sleep(7200)
    (broken,) = await stage.stream("Alerts")
    others = sorted(row["AlertId"] for row in stage.landed("Alerts"))
    stage.desk.turn(poison_rows=[])
    (mended,) = await stage.stream("Alerts")

    # then
    assert others == ["da0", "da1", "da3", "da4"]
    assert "1 cannot be read, the rest goes on" in broken.problem
    assert mended.problem == ""
    assert sorted(row["AlertId"] for row in stage.landed("Alerts")) == [
        f"da{number}" for number in range(5)
    ]


async def test_a_raw_table_is_read_in_windows_that_fit_and_no_row_is_missed(
    stage: Stage,
) -> None:
    # given
    stage.desk.turn(throttle_scale=0.0)
    stage.rows_at_most = 7
    stage.happen("DeviceEvents", 120, seconds_apart=1.0, ActionType="x", DeviceName="pc")
    stage.happen("DeviceEvents", 40, seconds_apart=1500.0, ActionType="y", DeviceName="pc")

    # when
    await stage.stream("DeviceEvents")
    again = await stage.stream("DeviceEvents")

    # then
    landed = [row["ReportId"] for row in stage.landed("DeviceEvents")]
    assert sorted(landed) == list(range(160))
    assert again[0].problem == ""


async def test_a_month_of_a_quiet_table_is_read_in_few_queries(stage: Stage) -> None:
    # given
    stage.policy = StreamPolicy(tables=("*",), lookback=timedelta(days=60))
    stage.happen("DeviceEvents", 29, seconds_apart=86_000.0)

    # when
    await stage.stream("DeviceEvents")

    # then
    assert len(stage.landed("DeviceEvents")) == 29
    calls = stage.desk.tenant.ledger.calls
    assert sum(count for call, count in calls.items() if "runHuntingQuery" in call[1]) <= 12


async def test_more_rows_than_fit_in_one_moment_are_told_of_and_not_skipped(
    stage: Stage,
) -> None:
    # given
    stage.desk.turn(throttle_scale=0.0)
    stage.rows_at_most = 5
    stage.happen("DeviceEvents", 6, seconds_apart=0.0)

    # when
    streams = stage.streams("DeviceEvents")
    await stage.desk.clock.sleep(1)
    with pytest.raises(BadAnswer, match="more than 5 rows in a millisecond"):
        await streams.read(streams.readers[0])

    # then
    (status,) = await streams.status()
    assert "events.tables" in status.problem
    assert status.waiting_rows == 0


async def test_a_query_that_is_too_much_for_the_service_is_halved(stage: Stage) -> None:
    # given
    stage.happen("DeviceInfo", 30, DeviceName="pc")
    stage.desk.fail(kind="504", method="POST", path="runHuntingQuery", times=2)

    # when
    await stage.stream("DeviceInfo")

    # then
    assert len(stage.landed("DeviceInfo")) == 30


async def test_a_table_that_the_tenant_has_not_says_what_to_do(stage: Stage) -> None:
    # given
    unknown = EventTable(name="Martians", summary="", columns={}, time="Timestamp")

    now = stage.desk.clock.now()
    pages = stage.source().read(unknown, now - timedelta(hours=1), now)

    # when
    with pytest.raises(RequestRefused, match="Martians cannot be asked for") as caught:
        await anext(pages)

    # then
    assert "events.tables" in caught.value.remedy


async def test_every_declared_column_takes_what_its_table_says(stage: Stage) -> None:
    # given
    stage.desk.turn(throttle_scale=0.0)
    values = {
        "string": "text", "int": 7, "long": 2**40, "real": 1.5, "boolean": 1,
        "datetime": stamp(stage.desk.clock.now()), "dynamic": '{"a": [1]}',
    }  # fmt: skip
    raw = [table for table in event_tables() if table.group not in {"alerts"}]
    for table in raw:
        row = {name: values[kind.value] for name, kind in table.columns.items()}
        stage.happen(table.name, 1)
        stage.desk.tenant.events[table.name][-1] |= {**row, "Unknown": 1, "Timestamp": stamp(
            stage.desk.clock.now() - timedelta(minutes=1)
        )}  # fmt: skip

    # when
    await stage.stream(*(table.name for table in raw))

    # then
    assert len(raw) == 20
    for table in raw:
        row = stage.landed(table.name)[-1]
        empty = sorted(name for name, value in row.items() if value is None)
        assert empty == ["CutColumns"], table.name
        assert row["MoreColumns"] == {"Unknown": 1}


async def test_what_does_not_fit_its_columns_type_travels_beside_it(stage: Stage) -> None:
    # given
    stage.happen("DeviceFileEvents", 1, FileSize="a lot", SHA1=12, SensitivityLabel={"a": 1})

    # when
    await stage.stream("DeviceFileEvents")

    # then
    (row,) = stage.landed("DeviceFileEvents")
    assert row["MoreColumns"] == {"FileSize": "a lot"}
    assert (row["SHA1"], row["SensitivityLabel"]) == ("12", '{"a":1}')


@pytest.mark.parametrize("filler", ["x", "ü", "𝔘", '"'])
async def test_a_value_too_long_for_a_column_is_whole_in_the_overflow(
    stage: Stage, filler: str
) -> None:
    # given
    long_text, long_json = filler * 150_000, {"list": [filler * 1000] * 100}
    stage.happen("DeviceProcessEvents", 1, ProcessCommandLine=long_text, AdditionalFields=long_json)

    # when
    await stage.stream("DeviceProcessEvents")

    # then
    (row,) = stage.landed("DeviceProcessEvents")
    assert row["CutColumns"] == ["AdditionalFields", "ProcessCommandLine"]
    assert long_text.startswith(row["ProcessCommandLine"])
    assert row["AdditionalFields"] is None
    assert whole(stage, row, "ProcessCommandLine") == long_text
    assert json.loads(whole(stage, row, "AdditionalFields")) == long_json


def whole(stage: Stage, row: dict[str, Any], column: str) -> str:
    parts = sorted(
        (
            part
            for part in stage.landed("Overflow")
            if part["OfRow"] == row["RowKey"] and part["OfColumn"] == column
        ),
        key=lambda part: int(part["Part"]),
    )
    assert len(parts) == parts[0]["Parts"]
    assert len({part["RowKey"] for part in parts}) == len(parts)
    return "".join(part["Text"] for part in parts)


async def test_megabytes_go_in_calls_that_the_service_takes(stage: Stage) -> None:
    # given
    dice = random.Random(7)
    for _ in range(60):
        noise = "".join(dice.choices(string.printable, k=25_000))
        stage.happen("DeviceEvents", 1, seconds_apart=5.0, ProcessCommandLine=noise)
        stage.happen("DeviceEvents", 1, seconds_apart=5.0, ProcessCommandLine="0" * 25_000)

    # when
    (status,) = await stage.stream("DeviceEvents")

    # then
    assert len(stage.landed("DeviceEvents")) == 120
    calls = [one for one in stage.desk.tenant.ledger.writes if "/streams/" in one["path"]]
    assert len(calls) == 4
    assert (status.waiting_batches, status.problem) == (0, "")


async def test_what_the_service_calls_too_large_is_split_until_it_fits(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(WorkspaceSink, "batch_limit", 3_000_000)
    for number in range(100):
        stage.happen("DeviceEvents", 1, ProcessCommandLine=f"{number:025000}")

    # when
    (status,) = await stage.stream("DeviceEvents")

    # then
    assert len({row["RowKey"] for row in stage.landed("DeviceEvents")}) == 100
    assert len(stage.landed("DeviceEvents")) == 100
    assert status.waiting_batches == 0


async def test_without_the_role_the_stream_stops_and_names_role_and_rule(stage: Stage) -> None:
    # given
    stage.identity = "reader"
    stage.happen("EmailEvents", 1)

    # when
    (refused,) = await stage.stream("EmailEvents")
    stage.identity = "sync"
    await stage.desk.clock.sleep(400)
    (mended,) = await stage.stream("EmailEvents")

    # then
    assert refused.parked_batches == 1
    assert "Monitoring Metrics Publisher" in refused.problem
    assert stage.desk.tenant.dcr_immutable_id in refused.problem
    assert (mended.waiting_batches, mended.problem) == (0, "")
    assert len(stage.landed("EmailEvents")) == 1


async def test_without_the_rule_or_its_stream_people_are_told_how_to_make_them(
    stage: Stage,
) -> None:
    # given
    stage.happen("EmailEvents", 1)
    stage.happen("DeviceEvents", 1)
    stage.happen("CloudAppEvents", 1)
    ours = stage.desk.tenant.dcr_immutable_id
    stage.give_rules({"mail": "dcr-" + "0" * 32, "identities": ours})
    del stage.desk.tenant.collection.streams["Custom-QuellCloudAppEvents_CL"]

    # when
    found = await stage.stream("EmailEvents", "DeviceEvents", "CloudAppEvents")

    # then
    problems = {status.table: status.problem for status in found}
    assert len(problems) == 3
    assert all("quell sentinel tables" in problem for problem in problems.values())
    assert "sentinel.workspaces.rules.devices" in problems["DeviceEvents"]
    assert all(status.parked_batches == 1 for status in found)


async def test_a_throttled_service_is_left_alone_for_as_long_as_it_says(stage: Stage) -> None:
    # given
    stage.happen("EmailUrlInfo", 1)
    stage.desk.fail(kind="429", method="POST", path="/streams/", retry_after=77.0)

    # when
    (waiting,) = await stage.stream("EmailUrlInfo")
    await stage.desk.clock.sleep(70)
    (still,) = await stage.stream("EmailUrlInfo")
    await stage.desk.clock.sleep(10)
    (done,) = await stage.stream("EmailUrlInfo")

    # then
    assert [one.waiting_batches for one in (waiting, still, done)] == [1, 1, 0]
    assert len(stage.landed("EmailUrlInfo")) == 1


async def test_an_answer_that_was_lost_repeats_rows_under_the_same_keys(stage: Stage) -> None:
    # given
    stage.happen("EmailUrlInfo", 3)
    stage.desk.fail(kind="drop", method="POST", path="/streams/", after_effect=True)

    # when
    await stage.stream("EmailUrlInfo")
    await stage.desk.clock.sleep(60)
    await stage.stream("EmailUrlInfo")

    # then
    landed = stage.landed("EmailUrlInfo")
    assert len(landed) == 6
    assert len({row["RowKey"] for row in landed}) == 3
    assert len({json.dumps(row, sort_keys=True) for row in landed}) == 3


async def test_a_workspace_without_rules_is_no_sink(stage: Stage) -> None:
    # given
    stage.give_rules({})

    # when
    sinks = WorkspaceSink.build(Context(desk=stage.desk, clock=stage.desk.clock))

    # then
    assert sinks == []


async def test_a_tenant_without_defender_has_no_events_of_it(stage: Stage) -> None:
    # given
    stage.desk.sections["defender"]["enabled"] = False

    # when
    sources = DefenderEvents.build(stage.desk.context)

    # then
    assert sources == []
