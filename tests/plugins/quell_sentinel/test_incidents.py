"""The incident queue of a Sentinel workspace over HTTPS, against the simulated tenant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from quell import ObservedIncident
from quell.domain.entity import User
from quell.domain.incident import (
    Classification,
    Determination,
    IncidentFields,
    Owner,
    Severity,
    Status,
    Task,
    Verdict,
)
from quell.domain.ports import IncidentSource, NewIncident
from quell.errors import (
    AnswerNotFound,
    BadAnswer,
    RequestRefused,
    ServerFailure,
    SettingsError,
    WriteConflict,
)
from quell_sentinel import SentinelIncidents
from quell_sentinel.checks import check_workspaces
from quell_sentinel.incidents import client
from quell_sentinel.mapping import WRITABLE
from quell_sentinel.settings import SentinelSettings

if TYPE_CHECKING:
    from tests.plugins.conftest import SourceDesk

    from quell_microsoft.simulator.state.workspaces import SentinelIncident

pytestmark = pytest.mark.anyio
ORIGIN = "defender/1001"
FIELDS = IncidentFields(
    title="one", description="d", severity=Severity.HIGH, status=Status.ACTIVE,
    owner=Owner(name="SOC"), tags=frozenset({"vip"}), verdict=Verdict(),
)  # fmt: skip


@pytest.fixture
def source(desk: SourceDesk) -> SentinelIncidents:
    (found,) = SentinelIncidents.build(desk.context)
    return found


def put(desk: SourceDesk, name: str, **properties: Any) -> SentinelIncident:
    """Let an incident come about in the workspace."""
    base = {"title": name, "severity": "Medium", "status": "New"}
    return desk.tenant.workspaces[0].create(name, {**base, **properties}, by="analyst")


def change(desk: SourceDesk, incident: SentinelIncident, **properties: Any) -> None:
    """Let an analyst change an incident."""
    incident.properties.update(properties)
    desk.tenant.workspaces[0].touch(incident, by="analyst")


def new(
    source: SentinelIncidents, fields: IncidentFields = FIELDS, first_activity: str | None = None
) -> NewIncident:
    """Give what a copy is made of."""
    return NewIncident(
        native_id=source.name_for(ORIGIN),
        created_for=ORIGIN,
        fields=fields,
        first_activity=first_activity,
    )


# -- polling -----------------------------------------------------------------------------------


async def test_the_first_poll_of_an_empty_workspace_leaves_a_cursor_that_misses_nothing(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    first = await desk.poll(source)
    assert first.ids == []
    put(desk, "one")
    assert (await desk.poll(source, first.cursor)).ids == ["one"]


async def test_a_poll_gives_counts_and_leaves_details_to_whoever_wants_them(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given
    put(desk, "one", severity="High", labels=[{"labelName": "vip", "labelType": "User"}])
    # when
    (found,) = (await desk.poll(source)).incidents
    # then
    assert found.fields == IncidentFields(
        title="one",
        severity=Severity.HIGH,
        status=Status.NEW,
        verdict=Verdict(),
        tags=frozenset({"vip"}),
    )
    assert (found.alerts, found.comments) == (None, None)
    assert (found.alert_count, found.comment_count) == (0, 0)
    assert found.number == "1"
    assert found.etag.startswith('"')


async def test_only_what_changed_is_given_again_and_pages_are_followed(
    desk: SourceDesk,
) -> None:
    # given: pages of two, and many incidents of one instant
    desk.sections["sentinel"]["page_size"] = 2
    (source,) = SentinelIncidents.build(desk.context)
    made = [put(desk, f"n{number}") for number in range(7)]
    first = await desk.poll(source)
    assert sorted(first.ids) == sorted(incident.name for incident in made)
    # when
    change(desk, made[3], severity="Low")
    second = await desk.poll(source, first.cursor)
    # then
    assert second.ids == ["n3"]
    assert (await desk.poll(source, second.cursor)).ids == []


async def test_a_page_that_fails_is_read_in_smaller_parts_or_not_at_all(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given
    put(desk, "one")
    desk.fail(kind="500", path="/incidents$", times=2)
    # then
    assert (await desk.poll(source)).ids == ["one"]
    desk.fail(kind="503", path="/incidents$", times=None)
    with pytest.raises(ServerFailure):
        await desk.poll(source)


async def test_a_partial_answer_moves_no_cursor(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    put(desk, "one")
    desk.fail(kind="partial206", path="/incidents$")
    with pytest.raises(BadAnswer):
        await desk.poll(source)


async def test_microsoft_s_own_copy_names_its_defender_incident_and_proves_it(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given: Microsoft's connector is on
    desk.turn(connector=True)
    queue, tenant_id = desk.tenant.queue, desk.tenant.tenant_id
    original = queue.new_incident({"displayName": "one"})
    number = original.body["id"]
    queue.add_alert(
        {"id": "daXY", "providerAlertId": "XY", "title": "a", "severity": "high", "evidence": [],
         "serviceSource": "microsoftDefenderForEndpoint", "incidentId": number,
         "createdDateTime": original.body["createdDateTime"],
         "lastUpdateDateTime": original.body["createdDateTime"]},
        number,
    )  # fmt: skip
    desk.tenant.clock.advance(320)
    # when
    (listed,) = (await desk.poll(source)).incidents
    fetched = await source.fetch(listed.native_id)
    # then
    assert (listed.counterpart_system, listed.counterpart_id) == ("defender", number)
    assert f"incident:{tenant_id}/{number}" in listed.proofs
    assert "alert:xy" in fetched.proofs
    assert listed.created_for is None


async def test_a_native_incident_is_nobody_s_copy_though_it_has_the_same_number(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    put(desk, "one")
    (found,) = (await desk.poll(source)).incidents
    assert found.raw["properties"]["providerIncidentId"] == "1"
    assert (found.counterpart_system, found.counterpart_id) == (None, None)


# -- reading -----------------------------------------------------------------------------------


async def test_one_incident_is_read_with_alerts_entities_and_comments(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given
    incident = put(desk, "one")
    alert = {"name": "a1", "kind": "SecurityAlert",
             "properties": {"systemAlertId": "a1", "severity": "High",
                            "alertDisplayName": "spray"}}  # fmt: skip
    incident.alerts["a1"] = alert
    incident.entities.append(
        {"name": "e1", "kind": "Account", "properties": {"accountName": "kai"}}
    )
    await source.comment("one", "seen", "k0")
    # when
    found = await source.fetch("one")
    # then
    assert found.alerts is not None
    (read,) = found.alerts
    assert (read.id, read.title, read.severity) == ("a1", "spray", Severity.HIGH)
    assert [evidence.entity for evidence in read.evidence] == [User(name="kai", account_name="kai")]
    assert [comment.text for comment in found.comments or ()] == ["seen"]
    assert msgspec.json.decode(msgspec.json.encode(found), type=ObservedIncident) == found


async def test_all_comments_are_read_also_past_the_first_page(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    put(desk, "one")
    desk.turn(throttle_scale=0)
    for number in range(60):
        await source.comment("one", f"text {number}", f"k{number}")
    assert len((await source.fetch("one")).comments or ()) == 60


async def test_an_incident_that_does_not_exist_is_not_found(source: SentinelIncidents) -> None:
    with pytest.raises(AnswerNotFound):
        await source.fetch("404404")


async def test_a_name_cannot_climb_out_of_its_path(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    put(desk, "one")
    for hostile in ("..", "one/comments", "one?x=1", "../../../alertRules", "one#", "%2e%2e"):
        with pytest.raises((AnswerNotFound, RequestRefused)):
            await source.fetch(hostile)


# -- copies ------------------------------------------------------------------------------------


async def test_making_a_copy_twice_is_making_it_once(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # when
    made = await source.create(new(source, first_activity="2026-01-01T00:00:00Z"))
    again = await source.create(new(source))
    # then
    assert len(desk.tenant.workspaces[0].incidents) == 1
    assert made.native_id == again.native_id == source.name_for(ORIGIN)
    assert made.created_for == again.created_for == ORIGIN
    assert made.fields == FIELDS.replace({"first_activity": datetime(2026, 1, 1, tzinfo=UTC)})
    assert (await desk.poll(source)).incidents[0].created_for == ORIGIN


async def test_a_copy_whose_answer_was_lost_is_made_by_the_repeat(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    desk.fail(kind="500", method="PUT", after_effect=True)
    with pytest.raises(ServerFailure):
        await source.create(new(source))
    made = await source.create(new(source))
    assert made.created_for == ORIGIN
    assert len(desk.tenant.workspaces[0].incidents) == 1


async def test_a_description_too_long_and_words_unsaid_make_a_copy_all_the_same(
    source: SentinelIncidents,
) -> None:
    fields = IncidentFields(title=None, description="🛡" * 4_000)
    made = await source.create(new(source, fields=fields, first_activity="never"))
    assert (made.native["severity"], made.native["status"]) == ("Informational", "New")
    assert source.project("description", fields, made.native) == "🛡" * 2_500


async def test_our_mark_on_an_incident_of_another_name_means_nothing(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given: somebody copies the label
    put(desk, "one", labels=[{"labelName": f"quell:{ORIGIN}", "labelType": "User"}])
    # when
    (found,) = (await desk.poll(source)).incidents
    # then
    assert found.created_for is None
    assert found.fields.tags == frozenset()


async def test_two_workspaces_give_one_incident_different_names(desk: SourceDesk) -> None:
    one = dict(desk.sections["sentinel"]["workspaces"][0])
    two = {**one, "workspace": "ws-branch", "source_id": "branch", "can_create": False}
    desk.sections["sentinel"]["workspaces"] = [one, two]
    first, second = SentinelIncidents.build(desk.context)
    assert first.name_for(ORIGIN) != second.name_for(ORIGIN)
    with pytest.raises(RequestRefused):
        await second.create(new(second))


# -- writing -----------------------------------------------------------------------------------


async def test_every_field_can_be_written_and_is_read_back_as_it_was_meant(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given
    put(desk, "one", description="old", labels=[{"labelName": "old", "labelType": "User"}])
    base = await source.fetch("one")
    wanted = IncidentFields(
        title="two", description="d", severity=Severity.LOW, status=Status.CLOSED,
        owner=Owner(name="SOC"), closing_comment="done", tags=frozenset({"a", "b"}),
        verdict=Verdict(classification=Classification.FALSE_POSITIVE,
                        determination=Determination.NOT_MALICIOUS),
    )  # fmt: skip
    # when
    changes = {name: source.project(name, wanted, base.native) for name in WRITABLE}
    after = await source.update(base, changes)
    # then
    assert after.fields == wanted
    assert after.etag != base.etag
    fetched = await source.fetch("one")
    assert (fetched.native, fetched.etag) == (after.native, after.etag)


async def test_an_update_leaves_all_other_fields_as_they_are(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given
    await source.create(new(source))
    base = await source.fetch(source.name_for(ORIGIN))
    # when
    after = await source.update(base, {"severity": "Low"})
    # then
    assert {**after.native, "severity": "High"} == base.native
    assert after.created_for == ORIGIN


async def test_an_update_of_a_stale_base_is_a_conflict_and_changes_nothing(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given
    incident = put(desk, "one")
    base = await source.fetch("one")
    change(desk, incident, severity="High")
    # when
    with pytest.raises(WriteConflict):
        await source.update(base, {"status": "Active"})
    # then
    assert incident.properties["status"] == "New"
    after = await source.update(await source.fetch("one"), {"status": "Active"})
    assert (after.native["severity"], after.native["status"]) == ("High", "Active")


async def test_an_incident_that_was_deleted_is_not_made_again_by_an_update(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    incident = put(desk, "one")
    base = await source.fetch("one")
    desk.tenant.workspaces[0].delete(incident, by="analyst")
    with pytest.raises(WriteConflict):
        await source.update(base, {"status": "Active"})
    with pytest.raises(AnswerNotFound):
        await source.fetch("one")


async def test_closing_without_a_verdict_says_undetermined(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    put(desk, "one")
    after = await source.update(await source.fetch("one"), {"status": "Closed"})
    assert after.native["verdict"]["classification"] == "Undetermined"
    assert after.fields.verdict == Verdict()


async def test_no_change_sends_nothing(desk: SourceDesk, source: SentinelIncidents) -> None:
    put(desk, "one")
    base = await source.fetch("one")
    assert await source.update(base, {}) is base
    assert desk.tenant.ledger.writes == []


async def test_a_comment_with_one_key_is_there_once_however_often_it_is_sent(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given
    incident = put(desk, "one")
    assert await source.find_comment("one", "k1") is None
    desk.fail(kind="500", method="PUT", path="/comments/", after_effect=True)
    with pytest.raises(ServerFailure):
        await source.comment("one", "isolated <b>pc</b> & more", "k1")
    # when
    comment = await source.comment("one", "isolated <b>pc</b> & more", "k1")
    # then
    assert len(incident.comments) == 1
    assert comment.text == "isolated <b>pc</b> & more"
    assert await source.find_comment("one", "k1") == comment
    assert await source.find_comment("one", "k2") is None


async def test_what_a_comment_s_text_holds_is_shown_and_never_obeyed_by_the_portal(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    incident = put(desk, "one")
    await source.comment("one", "<img src=x onerror=alert(1)>", "k1")
    (stored,) = incident.comments.values()
    assert "<" not in stored.properties["message"]


async def test_alerts_can_be_related_and_relations_listed(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given
    workspace = desk.tenant.workspaces[0]
    put(desk, "one")
    name = "1dd267cd-8a1f-4f6f-b92c-da43ac8819af"
    workspace.alerts[name] = {
        "name": name,
        "kind": "SecurityAlert",
        "properties": {"systemAlertId": name},
    }
    calls = client(desk.context, desk.settings(SentinelSettings).workspaces[0], "sync")
    # when
    await calls.put_relation("one", f"one_{name}", workspace.arm_id(f"entities/{name}"))
    # then
    (relation,) = await calls.relations("one")
    assert relation["properties"]["relatedResourceName"] == name
    assert [alert["name"] for alert in await calls.alerts("one")] == [name]


async def test_writing_needs_the_writer_s_identity_and_takes_no_other(desk: SourceDesk) -> None:
    put(desk, "one")
    identities = dict(desk.sections["microsoft"]["identities"])
    del identities["sync"]
    desk.sections["microsoft"]["identities"] = identities
    (source,) = SentinelIncidents.build(desk.context)
    with pytest.raises(SettingsError) as missing:
        await source.comment("one", "text", "k1")
    assert "sync" in missing.value.message


async def test_the_source_keeps_the_contract(source: SentinelIncidents) -> None:
    kept: IncidentSource = source
    assert (kept.system, kept.can_create, kept.comment_limit) == ("sentinel", True, 30_000)


# -- doctor ------------------------------------------------------------------------------------


async def test_the_check_passes_where_the_workspace_can_be_listed(desk: SourceDesk) -> None:
    (line,) = await check_workspaces(desk.context)
    assert line.ok


async def test_the_check_names_the_role_that_is_missing(desk: SourceDesk) -> None:
    nobody = desk.simulator.ready()["identities"]["nothing"]
    desk.sections["microsoft"]["identities"] = {"reader": nobody}
    (line,) = await check_workspaces(desk.context)
    assert not line.ok
    assert "Microsoft Sentinel Reader" in line.remedy


async def test_the_check_says_so_where_no_workspace_is_set(desk: SourceDesk) -> None:
    desk.sections["sentinel"] = {}
    (line,) = await check_workspaces(desk.context)
    assert line.ok
    assert SentinelIncidents.build(desk.context) == []


# -- tasks -------------------------------------------------------------------------------------


async def test_a_task_is_made_once_and_changed_under_its_own_id(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given
    incident = put(desk, "one")
    task = Task(key="", title="Look at the log", description="all of it")
    # when
    made = await source.put_task(incident.name, task, "key")
    again = await source.put_task(incident.name, task, "key")
    done = await source.put_task(
        incident.name, msgspec.structs.replace(made, is_done=True), "another key"
    )
    # then
    assert made.key == again.key == done.key
    assert (done.title, done.description, done.is_done) == ("Look at the log", "all of it", True)
    assert len(incident.tasks) == 1
    seen = await source.fetch(incident.name)
    assert seen.tasks is not None
    assert [(one.key, one.is_done) for one in seen.tasks] == [(made.key, True)]


async def test_a_task_without_a_title_is_given_one(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    incident = put(desk, "one")
    made = await source.put_task(incident.name, Task(key="", title="  "), "key")
    assert made.title == "(no title)"


async def test_tasks_are_left_alone_where_the_settings_say_so(
    desk: SourceDesk, source: SentinelIncidents
) -> None:
    # given
    incident = put(desk, "one")
    await source.put_task(incident.name, Task(key="", title="Look at the log"), "key")
    # when
    settings = msgspec.structs.replace(desk.context.settings(SentinelSettings), tasks=False)
    without = SentinelIncidents(
        settings,
        settings.workspaces[0],
        desk.context.clock,
        reader=client(desk.context, settings.workspaces[0], "reader"),
        writer=lambda: client(desk.context, settings.workspaces[0], "sync"),
    )
    # then
    assert without.tasks_at_most == 0
    assert (await without.fetch(incident.name)).tasks is None
