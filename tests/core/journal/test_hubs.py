"""Incidents with all that belongs to them, on each database engine: stored whole, found again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.sync_model import ManualClock, verdict
from tests.sync_world import TENANT, World

from quell.domain.entity import (
    Alias,
    Device,
    EntityKind,
    Evidence,
    EvidenceRole,
    OtherEntity,
    Url,
    User,
)
from quell.domain.hub import Step, WriteState
from quell.domain.ids import EntityId, IncidentId, SourceId, TenantId, WorkerId
from quell.domain.incident import Alert, Origin, Owner, Severity, Status
from quell.errors import NotFoundError, RequestRefused, StateError
from quell.journal import (
    Journal,
    alerts,
    comments,
    conflicts,
    cursors,
    entities,
    hubs,
    incident_writes,
    incidents,
    leases,
    links,
)
from quell.sync.bench import Decider
from quell.sync.policy import SyncPolicy
from quell.sync.rules import Rules
from quell.sync.sides import Sides

pytestmark = pytest.mark.anyio

OTHER = TenantId("other")
HOSTILE = "a\x00b \u202e '; DROP TABLE incidents; -- {{ 1 }}"


@pytest.fixture
def world(journal: Journal) -> World:
    """Give two products and a journal of each kind in turn."""
    return World(journal, ManualClock())


def decider(world: World, tenant_id: TenantId = TENANT) -> Decider:
    return Decider(
        Rules(
            tenant_id=tenant_id,
            sides=Sides([(world.origin, "detects"), (world.mirror, "mirrors")]),
            policy=SyncPolicy(mode="replica"),
            secret=b"k",
        )
    )


def alert_of(alert_id: str, *seen: Device | User | OtherEntity, title: str = "t") -> Alert:
    evidence = tuple(Evidence(entity=entity, roles=(EvidenceRole.COMPROMISED,)) for entity in seen)
    return Alert(id=alert_id, title=title, evidence=evidence, raw={"as": ["it", "came"]})


async def test_what_is_loaded_is_what_was_stored(world: World) -> None:
    # given
    world.origin.add(
        "7",
        title=HOSTILE,
        severity=Severity.HIGH,
        status=Status.ACTIVE,
        owner=Owner(upn="ada"),
        verdict=verdict("true_positive", "phishing"),
        tags=frozenset({"a", "ü"}),
    )
    world.origin.say("7", HOSTILE)
    world.origin.raise_alert("7", alert_of("a1", Device(mde_id="m" * 40, name=HOSTILE)))

    # when
    await world.sync.pass_once()

    # then
    hub = world.hub("7")
    shown = HOSTILE.replace("\x00", "\ufffd")
    assert hub.fields == world.origin.fields_of("7").replace({"title": shown})
    assert [comment.text for comment in hub.comments if comment.kind == "comment"] == [shown]
    (alert,) = world.journal.ask_now(alerts.of(TENANT, hub.id))
    assert alert.raw == {"as": ["it", "came"]}
    assert (await world.sync.pass_once()).is_quiet
    assert [link.observed.native["title"] for link in hub.links] == [shown, shown]
    assert world.hub("7") == hub


async def test_an_incident_is_found_by_id_number_and_native_id(world: World) -> None:
    # given
    world.origin.add("4711")
    await world.sync.pass_once()
    hub = world.hub("4711")

    # when
    found = [
        world.journal.ask_now(incidents.find(TENANT, text))
        for text in (hub.id, hub.id[:8], "4711", world.copy_of("4711"), "%", "nothing")
    ]

    # then
    assert found == [[hub.id]] * 4 + [[], []]


async def test_lists_filter_and_page(world: World) -> None:
    # given
    world.origin.add("1", severity=Severity.HIGH)
    world.origin.add("2", severity=Severity.LOW, status=Status.CLOSED)
    world.origin.add("3", severity=Severity.MEDIUM)
    await world.sync.pass_once()

    # when
    severe = world.journal.ask_now(incidents.listed(TENANT, severity=Severity.MEDIUM))
    closed = world.journal.ask_now(incidents.listed(TENANT, status=Status.CLOSED))
    paged = [
        row.title
        for offset in range(3)
        for row in world.journal.ask_now(incidents.listed(TENANT, limit=1, offset=offset))
    ]

    # then
    assert {row.title for row in severe} == {"1", "3"}
    assert [row.title for row in closed] == ["2"]
    assert sorted(paged) == ["1", "2", "3"]
    assert world.journal.ask_now(incidents.counted(TENANT)) == 3
    assert severe[0].numbers.keys() == {"origin", "mirror"}


async def test_tenants_do_not_see_each_other(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.raise_alert("7", alert_of("a1", User(object_id="u1")))
    await world.sync.pass_once()

    # when
    write = hubs.store(decider(world, OTHER), [world.origin.observed("7")], origin=Origin.LIVE)
    await world.journal.commit(write)

    # then
    mine = world.hub("7")
    (theirs,) = world.journal.ask_now(incidents.listed(OTHER))
    assert theirs.id != mine.id
    assert world.journal.ask_now(incidents.find(OTHER, mine.id)) == []
    found = world.journal.ask_now(entities.find(OTHER, EntityKind.USER, "u1"))
    assert found != world.journal.ask_now(entities.find(TENANT, EntityKind.USER, "u1"))
    with pytest.raises(NotFoundError):
        world.journal.ask_now(hubs.get(OTHER, mine.id))


async def test_a_cursor_moves_from_the_version_that_was_read_or_nothing_is_stored(
    world: World,
) -> None:
    # given
    world.origin.add("7")
    source = world.origin.source_id
    page = [world.origin.observed("7")]
    late = hubs.CursorMove(source_id=source, version=0, to="late")
    first = hubs.CursorMove(source_id=source, version=0, to="first")
    empty = hubs.store(decider(world), [], origin=Origin.LIVE, cursor=first)
    await world.journal.commit(empty)

    # when
    with pytest.raises(StateError):
        await world.journal.commit(
            hubs.store(decider(world), page, origin=Origin.LIVE, cursor=late)
        )

    # then
    cursor = world.journal.ask_now(cursors.get(TENANT, source))
    assert (cursor.cursor, cursor.version) == ("first", 1)
    assert world.journal.ask_now(incidents.counted(TENANT)) == 0


async def test_parked_items_wait_longer_each_time_and_are_told_of_once(world: World) -> None:
    # given
    source = SourceId("origin")

    # when
    for _ in range(3):
        await world.journal.commit(cursors.park(TENANT, source, "7", "cannot be read"))

    # then
    (item,) = world.journal.ask_now(cursors.listed_items(TENANT))
    assert item.tries == 3
    assert item.retry_at - item.first_at >= cursors.RETRY_AFTER[2]
    assert world.journal.ask_now(cursors.due_items(TENANT, source)) == []
    assert await world.journal.commit(cursors.unpark(TENANT, source, "7"))
    assert not await world.journal.commit(cursors.unpark(TENANT, source, "7"))


async def test_a_change_without_the_lease_changes_nothing(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    hub = world.hub("7")
    name = f"incident/{hub.id}"
    taken = leases.claim(TENANT, name, WorkerId("other"), timedelta(minutes=1))
    assert await world.journal.commit(taken) is not None

    # when
    write = hubs.change(
        TENANT,
        hub.id,
        lambda hub, now: Step(hub=hub.replace(fields=hub.fields.replace({"title": "x"}))),
        lease=(WorkerId("late"), 1),
    )

    # then
    assert await world.journal.commit(write) is None
    assert world.hub("7").fields.title == "7"


async def test_a_change_of_an_unknown_incident_is_refused(world: World) -> None:
    # given
    write = hubs.change(TENANT, IncidentId("none"), lambda hub, now: Step(hub=hub))

    # when / then
    with pytest.raises(NotFoundError):
        await world.journal.commit(write)


async def test_a_parked_write_is_listed_and_can_be_tried_again(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    world.mirror.refusals["update"] = [RequestRefused(endpoint="PUT", status=400)]
    world.origin.edit("7", title="new")
    await world.sync.pass_once()
    (parked,) = world.journal.ask_now(incident_writes.parked(TENANT))

    # when
    again = await world.journal.commit(incident_writes.retry(TENANT, parked.id))
    await world.sync.apply_writes()

    # then
    assert again
    assert not await world.journal.commit(incident_writes.retry(TENANT, parked.id))
    assert world.mirror.fields_of(world.copy_of("7")).title == "new"
    states = [write.state for write in world.writes("7")]
    assert WriteState.PARKED not in states


async def test_conflicts_are_listed_and_settled_once(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()
    world.origin.edit("7", title="a")
    world.mirror.edit(world.copy_of("7"), title="b")
    await world.sync.pass_once()
    (conflict,) = world.journal.ask_now(conflicts.listed(TENANT, world.hub("7").id))

    # when
    settled = [
        await world.journal.commit(conflicts.settle(TENANT, conflict.id, "ada")) for _ in range(2)
    ]

    # then
    assert settled == [True, False]
    (after,) = world.journal.ask_now(conflicts.listed(TENANT))
    assert after.settled_by == "ada"


async def test_merging_moves_what_the_loser_had(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.say("7", "words")
    world.origin.raise_alert("7", alert_of("a1", Device(mde_id="m1")))
    world.origin.add("8")
    world.origin.raise_alert("8", alert_of("a2", Device(mde_id="m1"), User(object_id="u1")))
    await world.sync.pass_once()

    # when
    world.origin.merge("7", "8")
    await world.sync.pass_once()

    # then
    winner = world.hub("8").id
    view = world.journal.ask_now(incidents.view(TENANT, winner))
    assert {alert.id for alert in view.alerts} == {"a1", "a2"}
    assert {entity.kind for entity in view.entities} == {EntityKind.DEVICE, EntityKind.USER}
    device = next(one for one in view.entities if one.kind is EntityKind.DEVICE)
    assert set(device.alerts) == {"a1", "a2"}
    kept = world.journal.ask_now(comments.of(TENANT, winner))
    assert any(comment.text == "words" for comment in kept)
    assert world.journal.ask_now(incidents.listed(TENANT, with_merged=True, limit=10))[0]


async def test_links_are_listed_by_source(world: World) -> None:
    # given
    world.origin.add("7")
    await world.sync.pass_once()

    # when
    mirrored = world.journal.ask_now(links.listed(TENANT, world.mirror.source_id))

    # then
    assert [link.is_ours for link in mirrored] == [True]
    assert len(world.journal.ask_now(links.listed(TENANT))) == 2


# -- entities ------------------------------------------------------------------------------------


async def test_names_that_join_two_entities_make_them_one(world: World) -> None:
    # given
    journal = world.journal
    by_sid = User(sid="S-1-5-21-1-2-3-1001", account_name="ada")
    by_id = User(object_id="u1", display_name="Ada")
    first = await journal.commit(entities.observe(TENANT, by_sid))
    second = await journal.commit(entities.observe(TENANT, by_id))

    # when
    both = User(sid="S-1-5-21-1-2-3-1001", object_id="u1", upn="ada@contoso.example")
    joined = await journal.commit(entities.observe(TENANT, both))

    # then
    assert first != second
    assert joined == first
    assert journal.ask_now(entities.canonical(TENANT, second)) == first
    known = journal.ask_now(entities.get(TENANT, second))
    assert isinstance(known, User)
    assert (known.object_id, known.upn, known.account_name) == ("u1", "ada@contoso.example", "ada")
    assert Alias("upn", "ada@contoso.example") in journal.ask_now(
        entities.aliases_of(TENANT, first)
    )
    assert journal.ask_now(entities.find(TENANT, EntityKind.USER, "ADA@contoso.example")) == [first]


async def test_a_sign_in_name_that_was_given_to_somebody_else_joins_nobody(world: World) -> None:
    # given
    journal = world.journal
    old = await journal.commit(
        entities.observe(TENANT, User(object_id="u1", upn="ada@contoso.example"))
    )

    # when
    new = await journal.commit(
        entities.observe(TENANT, User(object_id="u2", upn="ada@contoso.example"))
    )

    # then
    assert old != new
    assert journal.ask_now(entities.find(TENANT, EntityKind.USER, "u2")) == [new]


async def test_weak_names_join_nobody(world: World) -> None:
    # given
    world.origin.add("7")
    world.origin.add("8")
    for native_id in ("7", "8"):
        world.origin.raise_alert(native_id, alert_of(f"a{native_id}", Device(host_name="ws-1")))

    # when
    await world.sync.pass_once()

    # then
    found = world.journal.ask_now(entities.find(TENANT, EntityKind.DEVICE, "ws-1"))
    assert len(found) == 2


async def test_things_without_a_name_are_kept_once_per_incident(world: World) -> None:
    # given
    world.origin.add("7")
    strange = OtherEntity(kind="teapot", name="x")
    world.origin.raise_alert("7", alert_of("a1", strange))

    # when
    await world.sync.pass_once()
    world.origin.raise_alert("7", alert_of("a2", strange))
    await world.sync.pass_once()

    # then
    (entity,) = world.journal.ask_now(entities.of(TENANT, world.hub("7").id))
    assert (entity.entity, entity.alerts) == (strange, ("a1", "a2"))


async def test_a_name_too_long_for_an_index_is_known_by_its_digest(world: World) -> None:
    # given
    address = "https://evil.example/" + "x" * 100_000
    # when
    ids = {await world.journal.commit(entities.observe(TENANT, Url(url=address))) for _ in range(2)}

    # then
    assert len(ids) == 1
    assert world.journal.ask_now(entities.find(TENANT, EntityKind.URL, address)) == list(ids)


async def test_an_unknown_entity_stands_for_itself(world: World) -> None:
    # given
    nobody = EntityId("nobody")

    # when
    found = world.journal.ask_now(entities.canonical(TENANT, nobody))

    # then
    assert found == nobody
    assert world.journal.ask_now(entities.get(TENANT, nobody)) is None
