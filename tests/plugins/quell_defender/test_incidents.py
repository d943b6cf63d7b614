"""The Defender incident queue over HTTPS, against the simulated tenant."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from quell import ObservedIncident
from quell.domain.entity import Device
from quell.domain.incident import (
    Classification,
    Determination,
    IncidentFields,
    Owner,
    Severity,
    Status,
    Verdict,
)
from quell.domain.ports import IncidentSource, NewIncident
from quell.errors import (
    AnswerNotFound,
    BadAnswer,
    RequestRefused,
    ServerFailure,
    SettingsError,
    Unreachable,
)
from quell_defender import DefenderIncidents, DefenderSettings
from quell_defender.checks import check_incidents
from quell_defender.client import IncidentClient
from quell_defender.mapping import WRITABLE
from quell_microsoft import GraphClient
from quell_microsoft.changes import rows_of

if TYPE_CHECKING:
    from tests.plugins.conftest import SourceDesk

pytestmark = pytest.mark.anyio
DEVICE = {
    "@odata.type": "#microsoft.graph.security.deviceEvidence",
    "mdeDeviceId": "a" * 40,
    "deviceDnsName": "pc.contoso.example",
    "roles": ["compromised"],
}


@pytest.fixture
def source(desk: SourceDesk) -> DefenderIncidents:
    (found,) = DefenderIncidents.build(desk.context)
    return found


def put(desk: SourceDesk, name: str, **fields: Any) -> str:
    """Let an incident with one alert come about."""
    queue = desk.tenant.queue
    incident = queue.new_incident({"displayName": name, **fields})
    incident_id = str(incident.body["id"])
    created = incident.body["createdDateTime"]
    alert = {"id": f"da{incident_id}", "providerAlertId": incident_id, "title": name,
             "evidence": [DEVICE], "incidentId": incident_id,
             "createdDateTime": created, "lastUpdateDateTime": created}  # fmt: skip
    queue.add_alert(alert, incident_id)
    return incident_id


def change(desk: SourceDesk, incident_id: str, **fields: Any) -> None:
    """Let an analyst change an incident."""
    queue = desk.tenant.queue
    queue.change_incident(queue.incidents[incident_id], fields, "analyst@contoso.example")


# -- polling -----------------------------------------------------------------------------------


async def test_the_first_poll_of_an_empty_queue_leaves_a_cursor_that_misses_nothing(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    first = await desk.poll(source)
    assert first.ids == []
    # when
    made = put(desk, "one")
    # then
    assert (await desk.poll(source, first.cursor)).ids == [made]


async def test_a_poll_gives_incidents_with_changed_alerts_and_with_comments(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    made = put(desk, "one", severity="high", assignedTo="kai@contoso.example", customTags=["vip"])
    desk.tenant.queue.comment(desk.tenant.queue.incidents[made], "seen", "kai@contoso.example")
    # when
    (found,) = (await desk.poll(source)).incidents
    # then
    assert found.fields == IncidentFields(
        title="one",
        severity=Severity.HIGH,
        status=Status.NEW,
        owner=Owner(upn="kai@contoso.example"),
        verdict=Verdict(),
        tags=frozenset({"vip"}),
    )
    assert found.native["tags"] == ["vip"]
    assert found.alerts is None
    assert isinstance(found.news[0].evidence[0].entity, Device)
    assert [comment.text for comment in found.comments or ()] == ["seen"]
    assert f"incident:{desk.tenant.tenant_id}/{made}" in found.proofs
    assert {f"alert:da{made}", f"alert:{made}"} <= found.proofs


async def test_a_second_poll_gives_only_what_changed(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    names = [put(desk, str(number)) for number in range(5)]
    first = await desk.poll(source)
    assert sorted(first.ids) == sorted(names)
    # when
    change(desk, names[2], severity="low")
    second = await desk.poll(source, first.cursor)
    # then
    assert second.ids == [names[2]]
    assert (await desk.poll(source, second.cursor)).ids == []


async def test_more_incidents_than_a_page_holds_and_of_one_instant_are_all_given_once(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given: the tenant's time is coarse, so that many share a stamp
    now = desk.clock.now().strftime("%Y-%m-%dT%H:%M:%S.5Z")
    names = [put(desk, str(number), lastUpdateDateTime=now) for number in range(70)]
    # when
    polled = await desk.poll(source)
    # then
    assert sorted(polled.ids) == sorted(names)
    assert (await desk.poll(source, polled.cursor)).ids == []


async def test_what_becomes_visible_late_is_found_within_the_overlap(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given: an incident whose list entry lags five minutes, and a later one that does not
    desk.turn(lag_seconds=300)
    late = put(desk, "late")
    desk.turn(lag_seconds=0)
    desk.tenant.clock.advance(60)
    early = put(desk, "early")
    first = await desk.poll(source)
    assert first.ids == [early]
    # when
    desk.tenant.clock.advance(300)
    # then
    assert (await desk.poll(source, first.cursor)).ids == [late]


async def test_an_incident_that_was_merged_names_the_winner_and_is_given_without_alerts(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    winner, loser = put(desk, "winner"), put(desk, "loser")
    first = await desk.poll(source)
    # when
    queue = desk.tenant.queue
    queue.merge([queue.incidents[loser]], queue.incidents[winner])
    found = {one.native_id: one for one in (await desk.poll(source, first.cursor)).incidents}
    # then
    assert found[loser].merged_into == winner
    assert {alert.id for alert in found[winner].news} >= {f"da{loser}"}
    assert found[loser].news == ()


async def test_alerts_that_cannot_be_expanded_are_found_in_the_list_of_alerts(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    made, other = put(desk, "one"), put(desk, "two")
    desk.turn(poison_incidents=[made])
    # when
    polled = await desk.poll(source)
    fetched = await source.fetch(made)
    # then
    assert sorted(polled.ids) == sorted([made, other])
    assert polled.poison == {}
    # an old one may be missing there: what was found does not tell of what is gone
    assert fetched.alerts is None
    assert [alert.id for alert in fetched.news] == [f"da{made}"]


async def test_an_incident_whose_alerts_cannot_be_read_at_all_is_given_and_reported(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    made, other = put(desk, "one"), put(desk, "two")
    desk.turn(poison_incidents=[made])
    desk.fail(kind="500", path="/alerts_v2", times=None)
    # when
    polled = await desk.poll(source)
    found = {one.native_id: one for one in polled.incidents}
    # then
    assert set(polled.poison) == {made}
    assert found[made].alerts is None
    assert found[made].fields.title == "one"
    assert found[other].alerts is not None
    assert (await desk.poll(source, polled.cursor)).ids == []


async def test_a_partial_answer_moves_no_cursor(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    made = put(desk, "one")
    desk.fail(kind="partial206", path="/security/incidents$", times=1)
    with pytest.raises(BadAnswer):
        await desk.poll(source)
    assert (await desk.poll(source)).ids == [made]


async def test_an_outage_is_passed_on_and_nothing_is_called_poison(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    put(desk, "one")
    desk.fail(kind="503", path="/security/", times=None)
    with pytest.raises(ServerFailure):
        await desk.poll(source)
    desk.mend()
    desk.fail(kind="drop", path="/security/", times=None)
    with pytest.raises(Unreachable):
        await desk.poll(source)


class Spoiled(IncidentClient):
    """The real client of a product that fails for good wherever some incidents are in the answer."""

    def __init__(self, graph: GraphClient, bad: set[str], nameless: set[str]) -> None:
        super().__init__(graph)
        self.bad, self.nameless = bad, nameless

    def check(self, row: Mapping[str, Any] | None, bad: set[str]) -> None:
        if row is not None and row["id"] in bad:
            raise ServerFailure(endpoint="GET incidents", status=500)

    async def pages(
        self, since: str, top: int, *, until: str | None = None
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        async with aclosing(super().pages(since, top, until=until)) as pages:
            async for page in pages:
                for row in rows_of(page):
                    self.check(row, self.bad)
                yield page

    async def one_at(
        self, since: str, place: int, *, names_only: bool = False
    ) -> Mapping[str, Any] | None:
        row = await super().one_at(since, place, names_only=names_only)
        self.check(row, self.nameless if names_only else self.bad)
        return row

    async def get(self, incident_id: str) -> Mapping[str, Any]:
        row = await super().get(incident_id)
        self.check(row, self.bad)
        return row


@pytest.mark.parametrize("has_name", [True, False])
@pytest.mark.parametrize("place", [0, 3, 6])
async def test_a_poison_incident_is_reported_and_all_others_are_read(
    desk: SourceDesk, place: int, *, has_name: bool
) -> None:
    # given
    names: list[str] = []
    for number in range(7):
        desk.tenant.clock.advance(1)
        names.append(put(desk, str(number)))
    bad = {names[place]}
    client = Spoiled(desk.context.connector(GraphClient), bad, set() if has_name else bad)
    source = DefenderIncidents(DefenderSettings(), desk.clock, reader=client, writer=lambda: client)
    # when
    polled = await desk.poll(source)
    # then
    assert set(polled.ids) == set(names) - bad
    assert set(polled.poison) == bad if has_name else len(polled.poison) == 1
    assert names[place] not in polled.ids


async def test_a_source_that_is_switched_off_is_not_there(desk: SourceDesk) -> None:
    desk.sections["defender"] = {"enabled": False}
    assert DefenderIncidents.build(desk.context) == []


# -- one incident ------------------------------------------------------------------------------


async def test_an_incident_that_does_not_exist_is_not_found(source: DefenderIncidents) -> None:
    with pytest.raises(AnswerNotFound):
        await source.fetch("404404")


async def test_an_id_cannot_climb_out_of_its_path(source: DefenderIncidents) -> None:
    for hostile in (
        "..",
        "../alerts_v2",
        "7/comments",
        "7/alerts",
        "7?$expand=alerts",
        "7#",
        "a b",
    ):
        with pytest.raises((AnswerNotFound, RequestRefused)):
            await source.fetch(hostile)


async def test_an_update_sends_the_changed_fields_only_and_gives_what_the_product_has_then(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given: somebody else changes another field after we have read
    made = put(desk, "one")
    base = await source.fetch(made)
    change(desk, made, severity="high")
    wanted = base.fields.replace(
        {
            "status": Status.CLOSED,
            "verdict": Verdict(
                classification=Classification.FALSE_POSITIVE,
                determination=Determination.NOT_MALICIOUS,
            ),
        }
    )
    changes = {name: source.project(name, wanted, base.native) for name in ("status", "verdict")}
    # when
    after = await source.update(base, changes)
    # then
    assert desk.tenant.ledger.writes[-1]["body"] == {
        "status": "resolved",
        "classification": "falsePositive",
        "determination": "notMalicious",
    }
    assert after.fields.status is Status.CLOSED
    assert after.fields.verdict == wanted.verdict
    assert (base.native["severity"], after.native["severity"]) == ("medium", "high")
    assert after.stamp != base.stamp


async def test_every_field_can_be_written_and_is_read_back_as_it_was_meant(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    base = await source.fetch(put(desk, "one"))
    wanted = IncidentFields(
        title="two", description="d", severity=Severity.LOW, status=Status.ACTIVE,
        owner=Owner(name="SOC"), closing_comment="done", tags=frozenset({"a", "b"}),
        verdict=Verdict(classification=Classification.TRUE_POSITIVE,
                        determination=Determination.PHISHING),
    )  # fmt: skip
    # when
    changes = {name: source.project(name, wanted, base.native) for name in WRITABLE}
    after = await source.update(base, changes)
    # then
    assert after.fields == wanted
    assert (await source.fetch(base.native_id)).native == after.native


async def test_no_change_sends_nothing(desk: SourceDesk, source: DefenderIncidents) -> None:
    base = await source.fetch(put(desk, "one"))
    assert await source.update(base, {}) is base
    assert desk.tenant.ledger.writes == []


async def test_an_incident_that_was_merged_is_not_written_to(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    winner, loser = put(desk, "winner"), put(desk, "loser")
    queue = desk.tenant.queue
    queue.merge([queue.incidents[loser]], queue.incidents[winner])
    base = await source.fetch(loser)
    # when
    with pytest.raises(RequestRefused) as refused:
        await source.update(base, {"status": "resolved"})
    # then
    assert winner in refused.value.remedy
    assert desk.tenant.ledger.writes == []


async def test_a_write_that_meets_a_merge_on_its_way_shows_it_in_its_answer(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    winner, loser = put(desk, "winner"), put(desk, "loser")
    base = await source.fetch(loser)
    queue = desk.tenant.queue
    queue.merge([queue.incidents[loser]], queue.incidents[winner])
    after = await source.update(base, {"owner": "SOC"})
    assert after.merged_into == winner


async def test_a_write_whose_answer_is_lost_is_not_sent_again(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    base = await source.fetch(put(desk, "one"))
    desk.fail(kind="500", method="PATCH", after_effect=True)
    # when
    with pytest.raises(ServerFailure) as failed:
        await source.update(base, {"owner": "SOC"})
    # then
    assert failed.value.may_have_happened
    assert len(desk.tenant.ledger.writes) == 1
    assert (await source.fetch(base.native_id)).native["owner"] == "SOC"


async def test_a_comment_is_added_and_found_again_by_its_key(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    # given
    made = put(desk, "one")
    assert await source.find_comment(made, "[q:k1]") is None
    # when
    comment = await source.comment(made, "isolated <b>pc</b> [q:k1]", "[q:k1]")
    # then
    assert comment.text == "isolated <b>pc</b> [q:k1]"
    assert await source.find_comment(made, "[q:k1]") == comment
    assert (await source.fetch(made)).comments == (comment,)


async def test_a_comment_whose_answer_was_lost_is_found_and_not_added_twice(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    made = put(desk, "one")
    desk.fail(kind="504", method="POST", path="/comments", after_effect=True)
    with pytest.raises(ServerFailure):
        await source.comment(made, "text [q:k2]", "[q:k2]")
    found = await source.find_comment(made, "[q:k2]")
    assert found is not None
    assert len(desk.tenant.queue.incidents[made].body["comments"]) == 1


async def test_copies_are_refused(source: DefenderIncidents) -> None:
    new = NewIncident(native_id="x", created_for="a/1", fields=IncidentFields())
    with pytest.raises(RequestRefused):
        await source.create(new)
    assert source.name_for("a/1") == source.name_for("a/1") != source.name_for("a/2")


async def test_writing_needs_the_writer_s_identity_and_takes_no_other(desk: SourceDesk) -> None:
    # given
    made = put(desk, "one")
    identities = dict(desk.sections["microsoft"]["identities"])
    del identities["sync"]
    desk.sections["microsoft"]["identities"] = identities
    (source,) = DefenderIncidents.build(desk.context)
    base = await source.fetch(made)
    # when
    with pytest.raises(SettingsError) as missing:
        await source.update(base, {"owner": "SOC"})
    # then
    assert "sync" in missing.value.message


async def test_what_was_read_can_be_stored_as_json(
    desk: SourceDesk, source: DefenderIncidents
) -> None:
    found = await source.fetch(put(desk, "one"))
    assert msgspec.json.decode(msgspec.json.encode(found), type=ObservedIncident) == found


async def test_the_source_keeps_the_contract(source: DefenderIncidents) -> None:
    kept: IncidentSource = source
    assert kept.system == "defender"
    assert kept.writable == WRITABLE


# -- doctor ------------------------------------------------------------------------------------


async def test_the_check_passes_where_incidents_and_alerts_can_be_read(desk: SourceDesk) -> None:
    assert [line.ok for line in await check_incidents(desk.context)] == [True, True]


async def test_the_check_names_the_permission_that_is_missing(desk: SourceDesk) -> None:
    nobody = desk.simulator.ready()["identities"]["nothing"]
    desk.sections["microsoft"]["identities"] = {"reader": nobody}
    lines = await check_incidents(desk.context)
    assert [line.ok for line in lines] == [False, False]
    assert "SecurityIncident.Read.All" in lines[0].remedy
    assert "SecurityAlert.Read.All" in lines[1].remedy


async def test_the_check_says_that_the_reader_s_identity_is_missing(desk: SourceDesk) -> None:
    desk.sections["microsoft"]["identities"] = {}
    (line,) = await check_incidents(desk.context)
    assert not line.ok
    assert "reader" in line.detail
