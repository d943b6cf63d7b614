"""Alerts that go from one incident to another, and incidents that are merged into one."""

from __future__ import annotations

import pytest
from tests.sync_model import Record
from tests.sync_world import TENANT, World

from quell.domain.entity import Device, Entity, Evidence, EvidenceRole, EvidenceVerdict, User
from quell.domain.ids import RunId
from quell.domain.incident import Alert, Origin, Severity, Status
from quell.domain.playbook import IncidentEvent
from quell.domain.ports import ObservedIncident
from quell.domain.run import RunState
from quell.journal import alerts, conflicts, hubs, incidents, notices, runs
from quell.journal.runs import NewRun, RunRef
from quell.sync.bench import Decider
from quell.sync.rules import Rules
from quell.sync.sides import Sides

pytestmark = pytest.mark.anyio

PC1 = Device(name="pc1", mde_id="a" * 40, host_name="pc1")
PC2 = Device(name="pc2", mde_id="b" * 40, host_name="pc2")
ANN = User(name="Ann", upn="ann@contoso.example")


def alert(name: str, *entities: Entity, verdict: str = "malicious") -> Alert:
    evidence = tuple(
        Evidence(
            entity=one,
            roles=(EvidenceRole.COMPROMISED,),
            verdict=EvidenceVerdict(verdict),
        )
        for one in entities
    )
    return Alert(id=name, title=f"title of {name}", severity=Severity.HIGH, evidence=evidence)


def move(world: World, name: str, old: str, new: str) -> None:
    """Let the product's correlation give an alert to another incident."""
    records: dict[str, Record] = world.origin.records
    moved = next(one for one in records[old].alerts if one.id == name)
    records[old].alerts.remove(moved)
    records[new].alerts.append(moved)
    world.origin.touch(records[new])
    world.origin.touch(records[old])


def names(world: World, native_id: str) -> list[str]:
    view = world.journal.ask_now(incidents.view(TENANT, world.hub(native_id).id))
    return sorted(one.entity.name for one in view.entities)


async def two_incidents(world: World) -> None:
    await world.sync.pass_once()
    world.origin.add("7")
    world.origin.add("8")
    world.origin.raise_alert("7", alert("a1", PC1))
    world.origin.raise_alert("7", alert("a2", PC2, ANN))
    world.origin.raise_alert("8", alert("a3", ANN))
    await world.settle()


async def test_an_alert_that_moves_takes_along_what_only_it_names(world: World) -> None:
    # given
    await two_incidents(world)

    # when
    move(world, "a2", "7", "8")
    await world.settle()

    # then
    assert names(world, "7") == ["pc1"]
    assert names(world, "8") == ["Ann", "pc2"]
    lost = next(one for one in world.revisions("7") if IncidentEvent.ALERTS_MOVED in one.events)
    assert lost.changes["alerts"] == [["a2"], []]
    assert len(lost.changes["entities"][0]) == 2
    gained = world.revisions("8")[-1]
    assert IncidentEvent.ALERTS_ADDED in gained.events
    assert gained.changes["alerts"] == [[], ["a2"]]
    assert await world.disagreements() == ()


async def test_both_copies_are_told_once_where_an_alert_went(world: World) -> None:
    # given
    await two_incidents(world)

    # when
    move(world, "a2", "7", "8")
    await world.settle()
    world.origin.touch(world.origin.records["7"])
    world.origin.touch(world.origin.records["8"])
    await world.settle()

    # then
    left = [text for text in world.mirror.texts_of(world.copy_of("7")) if "alert a2" in text]
    came = [text for text in world.mirror.texts_of(world.copy_of("8")) if "alert a2" in text]
    assert len(left) == 2
    assert any("Moved to https://detector.example/8" in text for text in left)
    assert len(came) == 1
    assert world.origin.texts_of("7") == world.origin.texts_of("8") == []


async def test_what_another_alert_still_says_of_an_entity_stays(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.add("8")
    world.origin.raise_alert("7", alert("a1", PC1, verdict="suspicious"))
    world.origin.raise_alert("7", alert("a2", PC1))
    await world.settle()

    # when
    move(world, "a2", "7", "8")
    await world.settle()

    # then
    (entity,) = world.journal.ask_now(incidents.view(TENANT, world.hub("7").id)).entities
    assert (entity.alerts, entity.verdict) == (("a1",), "suspicious")


async def test_an_incident_can_lose_all_of_its_alerts(world: World) -> None:
    # given
    await two_incidents(world)

    # when
    move(world, "a3", "8", "7")
    await world.settle()

    # then
    assert names(world, "8") == []
    assert world.journal.ask_now(alerts.of(TENANT, world.hub("8").id)) == []
    assert await world.disagreements() == ()


async def test_a_whole_list_without_an_alert_lets_it_go_and_it_can_come_back(world: World) -> None:
    # given
    await two_incidents(world)
    record = world.origin.records["7"]
    gone = record.alerts.pop()

    # when
    world.origin.touch(record)
    await world.settle()
    without = names(world, "7")
    world.origin.raise_alert("7", gone)
    await world.settle()

    # then
    assert without == ["pc1"]
    assert names(world, "7") == ["Ann", "pc1", "pc2"]


def seen_news(world: World, native_id: str, *news: Alert) -> ObservedIncident:
    """Give an observation that knows which alerts are new, and not which there are."""
    seen = world.origin.observed(native_id, is_whole=False)
    return ObservedIncident(
        **{name: getattr(seen, name) for name in seen.__struct_fields__ if name != "news"},
        news=news,
    )


async def take(world: World, seen: ObservedIncident) -> None:
    rules = Rules(
        tenant_id=TENANT,
        sides=Sides([(world.origin, "detects"), (world.mirror, "mirrors")]),
        policy=world.policy,
        secret=b"0123456789abcdef",
        modes={world.mirror.source_id: "replica"},
    )
    await world.journal.commit(hubs.store(Decider(rules), [seen], origin=Origin.LIVE))


async def test_news_of_alerts_count_and_their_absence_says_nothing(world: World) -> None:
    # given
    await two_incidents(world)
    world.origin.touch(world.origin.records["7"])

    # when
    await take(world, seen_news(world, "7", alert("a4", Device(name="pc4", mde_id="d" * 40))))

    # then
    assert names(world, "7") == ["Ann", "pc1", "pc2", "pc4"]
    assert world.revisions("7")[-1].changes["alerts"] == [[], ["a4"]]


async def test_news_of_an_alert_in_another_incident_moves_it(world: World) -> None:
    # given
    await two_incidents(world)
    world.origin.touch(world.origin.records["8"])

    # when
    await take(world, seen_news(world, "8", alert("a1", PC1)))

    # then
    assert names(world, "7") == ["Ann", "pc2"]
    assert names(world, "8") == ["Ann", "pc1"]


async def test_a_stale_look_does_not_take_an_alert_back(world: World) -> None:
    # given
    await two_incidents(world)
    stale = world.origin.observed("7")
    move(world, "a2", "7", "8")
    await world.settle()

    # when
    await take(world, stale)

    # then
    assert names(world, "8") == ["Ann", "pc2"]
    assert names(world, "7") == ["pc1"]


# -- merges --------------------------------------------------------------------------------------


async def test_the_winner_of_a_merge_gains_alerts_and_entities_as_an_event(world: World) -> None:
    # given
    await two_incidents(world)

    # when: only the loser is looked at
    world.origin.records["7"].merged_into = "8"
    world.origin.records["7"].alerts = []
    world.origin.touch(world.origin.records["7"])
    await world.sync.poll(world.origin.source_id)

    # then
    won = world.revisions("8")[-1]
    assert IncidentEvent.ALERTS_ADDED in won.events
    assert won.origin is Origin.LIVE
    assert sorted(won.changes["alerts"][1]) == ["a1", "a2"]
    assert len(won.changes["entities"][1]) == 2
    assert names(world, "8") == ["Ann", "pc1", "pc2"]


async def test_a_merge_that_the_first_read_finds_starts_nothing_live(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.add("8")
    world.origin.raise_alert("7", alert("a1", PC1))
    world.origin.merge("7", "8")

    # when
    await world.settle()

    # then
    assert {one.origin for one in world.revisions("8")} == {Origin.BACKFILL}


async def test_a_circle_of_merges_is_reported_once_and_nothing_is_written(world: World) -> None:
    # given
    await two_incidents(world)
    world.take_calls()

    # when
    for one, other in (("7", "8"), ("8", "7")):
        world.origin.records[one].merged_into = other
        world.origin.touch(world.origin.records[one])
    await world.settle()
    world.origin.touch(world.origin.records["7"])
    await world.settle()

    # then
    circles = [
        one for one in world.journal.ask_now(conflicts.listed(TENANT)) if one.kind == "merge_circle"
    ]
    ids = {world.hub("7").id, world.hub("8").id}
    assert circles
    assert len(circles) == len({one.incident_id for one in circles})
    assert {one.incident_id for one in circles} <= ids
    assert any(
        one.notice.kind == "conflict" for one in world.journal.ask_now(notices.listed(TENANT))
    )


async def test_an_incident_that_is_said_to_be_merged_into_itself_is_left_alone(
    world: World,
) -> None:
    # given
    await two_incidents(world)
    world.take_calls()

    # when
    world.origin.records["7"].merged_into = "7"
    world.origin.touch(world.origin.records["7"])
    await world.settle()

    # then
    assert world.hub("7").merged_into is None
    assert world.take_calls() == []


async def test_a_merge_into_a_closed_winner_leaves_it_closed(world: World) -> None:
    # given
    await two_incidents(world)
    world.origin.edit("8", status=Status.CLOSED)
    await world.settle()
    lost = world.copy_of("7")

    # when
    world.origin.merge("7", "8")
    await world.settle()

    # then
    assert world.origin.fields_of("8").status is Status.CLOSED
    assert world.mirror.fields_of(lost).status is Status.CLOSED
    assert world.hub("7").merged_into == world.hub("8").id


async def test_a_copy_of_the_loser_that_is_not_ours_is_left_to_its_maker(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.add("8")
    copy = world.mirror.add("theirs")
    copy.counterpart = ("detector", "7")
    copy.proofs = world.origin.records["7"].proofs
    copy.native.update(world.mirror.to_native(world.origin.fields_of("7")))
    await world.settle()
    assert world.copy_of("7") == "theirs"

    # when
    world.origin.merge("7", "8")
    await world.settle()

    # then
    assert world.mirror.fields_of("theirs").status is not Status.CLOSED
    assert world.mirror.texts_of("theirs") == []


async def test_the_losers_runs_are_asked_to_stop(world: World) -> None:
    # given
    await two_incidents(world)
    hub = world.hub("7")
    run = NewRun(
        id=RunId("r1"),
        playbook_id="p",
        digest="d",
        cause="p/7",
        incident_id=hub.id,
        revision=hub.revision,
    )
    world.journal.commit_now(runs.create(TENANT, run))

    # when
    world.origin.merge("7", "8")
    await world.settle()

    # then
    ref = RunRef(TENANT, RunId("r1"))
    assert world.journal.ask_now(runs.get(ref)).state is RunState.CANCELLED
    (event,) = [
        one for one in world.journal.ask_now(runs.events(ref)) if one.kind == "cancel_requested"
    ]
    assert world.hub("8").id in event.body["reason"]


# -- coming back, and going away ---------------------------------------------------------------


@pytest.mark.parametrize("where", ["origin", "mirror"])
async def test_an_incident_is_reopened_on_either_side(world: World, where: str) -> None:
    # given
    world.origin.add("7", status=Status.CLOSED)
    await world.settle()
    copy = world.copy_of("7")

    # when
    if where == "origin":
        world.origin.edit("7", status=Status.ACTIVE)
    else:
        world.mirror.edit(copy, status=Status.ACTIVE)
    await world.settle()

    # then
    assert world.origin.fields_of("7").status is Status.ACTIVE
    assert world.mirror.fields_of(copy).status is Status.ACTIVE


async def test_an_original_that_is_gone_is_not_written_to_any_more(world: World) -> None:
    # given
    world.origin.add("7")
    await world.settle()
    copy = world.copy_of("7")
    del world.origin.records["7"]
    world.take_calls()

    # when
    world.mirror.edit(copy, title="still worked on")
    await world.settle()
    again = await world.sync.pass_once()

    # then
    assert (again.applied, again.problems) == (0, ())
    assert world.mirror.fields_of(copy).title == "still worked on"
    assert any(link.deleted_at for link in world.hub(copy, world.mirror).links)


async def test_severity_that_the_product_raises_later_wins_over_an_earlier_choice(
    world: World,
) -> None:
    # given
    world.origin.add("7", severity=Severity.MEDIUM)
    await world.settle()
    copy = world.copy_of("7")
    world.mirror.edit(copy, severity=Severity.LOW)
    await world.settle()

    # when
    world.origin.edit("7", severity=Severity.HIGH)
    await world.settle()

    # then
    assert world.mirror.fields_of(copy).severity is Severity.HIGH
    assert world.journal.ask_now(conflicts.listed(TENANT)) == []
