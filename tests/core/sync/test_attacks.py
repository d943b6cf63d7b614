"""What people with few rights, and products with bad answers, cannot make quell do."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sync_world import TENANT, World

from quell.domain.entity import Device, Evidence
from quell.domain.ids import IncidentId
from quell.domain.incident import Alert, IncidentFields, Origin, Severity, Status
from quell.domain.playbook import IncidentEvent
from quell.domain.ports import EntitySummary
from quell.errors import Unreachable
from quell.journal import alerts, conflicts, entities, incidents
from quell.sync import SyncPolicy
from quell.sync.policy import SyncRoute

pytestmark = pytest.mark.anyio


def vouched(world: World, incident_id: IncidentId) -> IncidentFields | None:
    return world.journal.ask_now(incidents.view(TENANT, incident_id)).vouched


def device_alert(alert_id: str, name: str) -> Alert:
    device = Device(mde_id=name * 40, dns_name=f"{name}.example.com")
    return Alert(id=alert_id, title=f"alert {alert_id}", evidence=(Evidence(entity=device),))


def named(world: World, incident_id: IncidentId) -> tuple[EntitySummary, ...]:
    return world.journal.ask_now(entities.of(TENANT, incident_id))


def alert_ids(world: World, incident_id: IncidentId) -> list[str]:
    return [one.id for one in world.journal.ask_now(alerts.of(TENANT, incident_id))]


# -- marks ---------------------------------------------------------------------------------------


def marked(world: World, number: str, **fields: Any) -> str:
    """Put a copy into the mirror as quell names and marks it; anybody can work that name out."""
    mark = f"{TENANT}/origin/{number}"
    name = world.mirror.name_for(mark)
    world.mirror.add(name, **fields).created_for = mark
    return name


async def test_a_marked_copy_without_its_original_vouches_for_nothing(world: World) -> None:
    # given
    name = marked(world, "7", severity=Severity.HIGH)

    # when
    await world.settle()
    world.mirror.edit(name, severity=Severity.MEDIUM)
    await world.settle()

    # then
    hub = world.hub(name, world.mirror)
    assert vouched(world, hub.id) is None
    revisions = world.journal.ask_now(incidents.revisions_of(TENANT, hub.id))
    assert revisions[0].origin is not Origin.LIVE


async def test_a_marked_copy_joins_its_original_when_that_comes(world: World) -> None:
    # given
    name = marked(world, "7", severity=Severity.HIGH)
    await world.settle()

    # when
    world.origin.add("7", severity=Severity.LOW)
    await world.settle()

    # then
    assert world.hub("7").id == world.hub(name, world.mirror).id
    assert vouched(world, world.hub("7").id) is not None
    assert len(world.mirror.records) == 1


async def test_a_forged_mark_pulls_no_incident_into_a_place_that_no_rule_sends_it_to(
    world: World,
) -> None:
    # given: copies go nowhere near this place
    world.policy = SyncPolicy(
        mode="replica",
        routes=(SyncRoute(to=("mirror",), when="incident.severity >= severity.high"),),
    )
    world.sync = world.fresh_sync()
    world.origin.add("7", severity=Severity.LOW, title="secret")
    world.origin.say("7", "a secret")
    await world.settle()
    assert not world.mirror.records

    # when
    name = marked(world, "7", status=Status.CLOSED)
    await world.settle()
    await world.sync.accept(None, by="ann")
    await world.settle()

    # then
    assert world.mirror.texts_of(name) == []
    assert world.mirror.fields_of(name).title != "secret"
    assert world.origin.fields_of("7").status is Status.NEW
    (conflict,) = world.journal.ask_now(conflicts.listed(TENANT))
    assert (conflict.kind, conflict.body["native_id"]) == ("unpaired", name)


# -- alerts --------------------------------------------------------------------------------------


async def test_an_incident_of_a_mirror_takes_no_alert_from_one_that_still_shows_it(
    world: World,
) -> None:
    # given
    world.mirror.add("real", severity=Severity.HIGH)
    world.mirror.raise_alert("real", device_alert("a1", "a"))
    await world.settle()
    real = world.hub("real", world.mirror).id

    # when: there, an alert can be related to any incident by whoever may edit one
    world.mirror.add("decoy", severity=Severity.INFORMATIONAL)
    world.mirror.raise_alert("decoy", device_alert("a1", "a"))
    await world.settle()

    # then
    assert alert_ids(world, real) == ["a1"]
    assert len(named(world, real)) == 1


async def test_an_alert_that_is_let_go_of_is_the_other_incidents(world: World) -> None:
    # given
    world.mirror.add("first")
    world.mirror.raise_alert("first", device_alert("a1", "a"))
    await world.settle()
    world.mirror.add("second")
    world.mirror.raise_alert("second", device_alert("a1", "a"))
    await world.settle()

    # when
    world.mirror.records["first"].alerts.clear()
    world.mirror.touch(world.mirror.records["first"])
    await world.settle()
    world.mirror.touch(world.mirror.records["second"])
    await world.settle()

    # then
    first, second = (world.hub(one, world.mirror).id for one in ("first", "second"))
    assert (alert_ids(world, first), alert_ids(world, second)) == ([], ["a1"])
    assert (len(named(world, first)), len(named(world, second))) == (0, 1)


async def test_alerts_without_an_id_do_not_wander_between_incidents(world: World) -> None:
    # given
    for name in ("1", "2"):
        world.origin.add(name)
        world.origin.raise_alert(name, device_alert("", name))
    await world.settle()
    before = {name: len(world.revisions(name)) for name in ("1", "2")}

    # when
    for name in ("1", "2", "1", "2"):
        world.origin.touch(world.origin.records[name])
        await world.settle()

    # then
    assert {name: len(world.revisions(name)) for name in ("1", "2")} == before
    assert len(named(world, world.hub("1").id)) == 1
    assert len(named(world, world.hub("2").id)) == 1


# -- words ---------------------------------------------------------------------------------------


async def test_a_tag_that_quell_carried_over_is_not_vouched_for_with_anothers(
    world: World,
) -> None:
    # given
    world.origin.add("7", tags=frozenset({"a"}))
    await world.settle()

    def add_another(moment: str) -> None:
        if moment == "after update":
            world.origin.witness = lambda _: None
            world.origin.edit("7", tags=world.origin.fields_of("7").tags | {"b"})

    # when: a mirror's tag arrives, nobody hears of it, and somebody there adds one beside it
    world.origin.witness = add_another
    world.origin.silences["update"] = [Unreachable(endpoint="PATCH")]
    world.mirror.edit(world.copy_of("7"), tags=frozenset({"a", "isolate-now"}))
    await world.settle()

    # then
    assert world.hub("7").fields.tags == frozenset({"a", "b", "isolate-now"})
    said = vouched(world, world.hub("7").id)
    assert said is not None
    assert said.tags == frozenset({"a", "b"})


async def test_a_comment_cannot_pretend_to_hold_another_persons_words(world: World) -> None:
    # given
    world.origin.add("7")
    await world.settle()

    # when
    forged = "fine\n\n· · ·\n\n[quell abcdefghijklmnop] ceo@example.com wrote in detector: do it"
    world.mirror.say(world.copy_of("7"), forged, author="mallory@example.com")
    await world.settle()

    # then
    (text,) = world.origin.texts_of("7")
    assert text.count("[quell ") == 1
    assert "mallory@example.com wrote in mirror" in text


# -- beginnings ----------------------------------------------------------------------------------


async def test_an_original_that_is_heard_after_its_copy_begins_live(world: World) -> None:
    # given: the detecting product was not there when its copy came
    copy = world.mirror.add("theirs", severity=Severity.HIGH)
    copy.counterpart = ("detector", "7")
    copy.proofs = frozenset({"detector:7"})
    await world.settle()

    # when
    world.origin.add("7", severity=Severity.HIGH)
    await world.settle()

    # then: what is to contain it is not left waiting for a person
    begins = [one for one in world.revisions("7") if IncidentEvent.CREATED in one.events]
    assert [one.source_id for one in begins] == ["mirror", "origin"]
    assert [one.origin for one in begins] == [Origin.ADOPTION, Origin.LIVE]


async def test_another_copy_of_a_known_original_begins_nothing(world: World) -> None:
    # given
    world.origin.add("7")
    await world.settle()

    # when
    copy = world.mirror.add("theirs", severity=Severity.HIGH)
    copy.counterpart = ("detector", "7")
    copy.proofs = frozenset({"detector:7"})
    await world.settle()

    # then
    begins = [one for one in world.revisions("7") if IncidentEvent.CREATED in one.events]
    assert len(begins) == 1
