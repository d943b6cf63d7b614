"""What holds for every order of edits, passes and faults: the queues agree, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sync_model import ManualClock, ModelSource
from tests.sync_world import TENANT, World

from quell.domain.hub import Hub, Sighting
from quell.domain.ids import IncidentId
from quell.domain.incident import (
    Classification,
    IncidentFields,
    Origin,
    Owner,
    Severity,
    Status,
    Verdict,
)
from quell.errors import ConnectorError, ServerFailure, Throttled, Unreachable, WriteConflict
from quell.journal import Journal
from quell.sync.absorb.absorb import absorb, take
from quell.sync.absorb.reconcile import reconcile
from quell.sync.plan.due import due_fields
from quell.sync.policy import SyncPolicy
from quell.sync.remarks import keys_in
from quell.sync.rules import Rules
from quell.sync.sides import FIELDS, Sides

VALUES: dict[str, list[Any]] = {
    "title": ["one", "two", "three"],
    "description": [None, "short", "a longer one " * 9],
    "severity": [Severity.LOW, Severity.HIGH],
    "status": list(Status),
    "owner": [None, Owner(upn="ada"), Owner(upn="bob")],
    "verdict": [Verdict(classification=one) for one in Classification],
    "closing_comment": [None, "done"],
    "tags": [frozenset[str](), frozenset({"a"}), frozenset({"b", "c"})],
}
CHANGES = st.sampled_from([(name, value) for name, found in VALUES.items() for value in found])
FAULTS: list[ConnectorError] = [
    Unreachable(endpoint="model"),
    ServerFailure(endpoint="model", status=503),
    Throttled(endpoint="model", status=429, retry_after=30.0),
    WriteConflict(endpoint="model", status=409),
]
STEPS = st.one_of(
    st.tuples(st.just("edit origin"), CHANGES),
    st.tuples(st.just("edit mirror"), CHANGES),
    st.tuples(st.just("say"), st.sampled_from(["origin", "mirror"])),
    st.tuples(st.just("poll"), st.sampled_from(["origin", "mirror"])),
    st.tuples(st.just("write"), st.none()),
    st.tuples(st.just("refuse"), st.sampled_from(FAULTS)),
    st.tuples(st.just("lose answer"), st.sampled_from(FAULTS[:2])),
    st.tuples(st.just("between"), CHANGES),
)


class Player:
    """Plays steps in a world and remembers what people said."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.said: list[str] = []
        self.given: set[tuple[str, str]] = set()

    async def play(self, kind: str, detail: Any) -> None:
        world = self.world
        copy = next(iter(world.mirror.records), None)
        if kind == "edit origin":
            self.edit(world.origin, "1", *detail)
        elif kind == "edit mirror" and copy is not None:
            self.edit(world.mirror, copy, *detail)
        elif kind == "say":
            self.say(detail, copy)
        elif kind == "poll":
            await self.try_to_poll(detail)
        elif kind == "write":
            await world.sync.apply_writes()
        elif kind == "refuse":
            world.mirror.refusals["update"] = [detail]
            world.mirror.refusals["comment"] = [detail]
        elif kind == "lose answer":
            world.mirror.silences["update"] = [detail]
            world.mirror.silences["comment"] = [detail]
        elif kind == "between":
            name, value = detail
            world.origin.meanwhile.append(lambda: self.edit(world.origin, "1", name, value))

    def edit(self, source: ModelSource, native_id: str, name: str, value: Any) -> None:
        source.edit(native_id, **{name: value})
        self.given.add((name, str(getattr(source.fields_of(native_id), name))))

    def say(self, where: str, copy: str | None) -> None:
        text = f"remark {len(self.said)};"
        if where == "origin":
            self.world.origin.say("1", text)
        elif copy is not None:
            self.world.mirror.say(copy, text)
        else:
            return
        self.said.append(text)

    async def try_to_poll(self, source_id: str) -> None:
        source = self.world.origin if source_id == "origin" else self.world.mirror
        await self.world.sync.poll(source.source_id)


async def converge(world: World) -> None:
    """Let all faults end, and go on until nothing is left to do."""
    for source in (world.origin, world.mirror):
        source.refusals.clear()
        source.silences.clear()
        source.meanwhile.clear()
    for _ in range(4):
        world.clock.advance(minutes=30)
        await world.sync.pass_once()


async def check_run(steps: Sequence[tuple[str, Any]]) -> None:
    # given
    clock = ManualClock()
    world = World(Journal.open("sqlite://", clock=clock), clock)
    world.origin.add("1")
    await world.sync.pass_once()
    player = Player(world)
    begin = {(name, str(getattr(world.origin.fields_of("1"), name))) for name in FIELDS}

    # when
    for kind, detail in steps:
        await player.play(kind, detail)
    await converge(world)

    # then: they agree
    assert await world.disagreements() == ()
    # and everything is quiet
    world.take_calls()
    revisions = len(world.revisions("1"))
    await world.sync.pass_once()
    assert world.take_calls() == []
    assert len(world.revisions("1")) == revisions
    # and each remark is on each side exactly once
    copy = world.copy_of("1")
    for texts in (world.origin.texts_of("1"), world.mirror.texts_of(copy)):
        assert sorted(text.count(said) for said in player.said for text in texts).count(1) == len(
            player.said
        )
        assert len(texts) == len(player.said)
    # and no value is one that nobody has given
    fields = world.origin.fields_of("1")
    for name in FIELDS:
        if name not in {"tags", "description"}:
            assert (name, str(getattr(fields, name))) in begin | player.given
    world.journal.close()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(steps=st.lists(STEPS, max_size=14))
def test_any_order_of_edits_passes_and_faults_ends_in_agreement(
    steps: list[tuple[str, Any]],
) -> None:
    asyncio.run(check_run(steps))


# -- the pure rules ------------------------------------------------------------------------------


def rules_of(world: World, policy: SyncPolicy) -> Rules:
    return Rules(
        tenant_id=TENANT,
        sides=Sides([(world.origin, "detects"), (world.mirror, "mirrors")]),
        policy=policy,
        secret=b"k",
        modes={world.mirror.source_id: "replica"},
    )


@pytest.fixture(scope="module")
def still() -> Any:
    clock = ManualClock()
    journal = Journal.open("sqlite://", clock=clock)
    yield World(journal, clock)
    journal.close()


def hub_with_copy(world: World, rules: Rules) -> Hub:
    """Give a hub whose two sides agree."""
    world.origin.records.clear()
    world.mirror.records.clear()
    world.origin.add("1", title="one")
    world.mirror.add("m", title="one").created_for = "origin/1"
    now = world.clock.now()
    hub = Hub(tenant_id=TENANT, id=IncidentId("i"), created_at=now, updated_at=now)
    for source, native_id in ((world.origin, "1"), (world.mirror, "m")):
        sighting = Sighting(now=world.clock.now(), origin=Origin.LIVE)
        hub = absorb(hub, source.observed(native_id), rules, sighting).hub
        hub = hub.replace(revision=1)
    return hub


def look(hub: Hub, world: World, source: ModelSource, native_id: str, rules: Rules) -> Hub:
    sighting = Sighting(now=world.clock.now(), origin=Origin.LIVE)
    found, _ = take(hub, source.observed(native_id), rules, sighting)
    return found


EDITS = st.lists(st.tuples(st.sampled_from(["origin", "mirror"]), CHANGES), max_size=8)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(edits=EDITS)
def test_reconciling_again_changes_nothing_and_invents_nothing(
    still: World, edits: list[tuple[str, tuple[str, Any]]]
) -> None:
    # given
    rules = rules_of(still, SyncPolicy(mode="replica"))
    before = hub_with_copy(still, rules)

    # when
    for where, (name, value) in edits:
        source, native_id = (still.origin, "1") if where == "origin" else (still.mirror, "m")
        source.edit(native_id, **{name: value})
    hub = look(before, still, still.origin, "1", rules)
    hub = look(hub, still, still.mirror, "m", rules)

    # then
    again, conflicts_again = reconcile(hub, rules.sides, rules.policy)
    assert (again, conflicts_again) == (hub, ())
    sides = (still.origin.fields_of("1"), still.mirror.fields_of("m"), before.fields)
    for name in FIELDS:
        value = getattr(hub.fields, name)
        if name == "tags":
            assert value <= frozenset().union(*(side.tags for side in sides))
        else:
            assert value in [getattr(side, name) for side in sides]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(edits=EDITS, winner=st.sampled_from(["latest", "detector", "mirror"]))
def test_what_is_due_brings_both_sides_together_and_the_policy_decides(
    still: World, edits: list[tuple[str, tuple[str, Any]]], winner: str
) -> None:
    # given
    rules = rules_of(still, SyncPolicy(mode="replica", default=winner))
    hub = hub_with_copy(still, rules)
    first = {"origin": still.origin.fields_of("1"), "mirror": still.mirror.fields_of("m")}

    # when
    for where, (name, value) in edits:
        source, native_id = (still.origin, "1") if where == "origin" else (still.mirror, "m")
        source.edit(native_id, **{name: value})
    wanted = {"origin": still.origin.fields_of("1"), "mirror": still.mirror.fields_of("m")}
    hub = look(hub, still, still.origin, "1", rules)
    hub = look(hub, still, still.mirror, "m", rules)
    for source, native_id in ((still.origin, "1"), (still.mirror, "m")):
        link = hub.link_at(source.source_id, native_id)
        assert link is not None
        source.records[native_id].native.update(due_fields(hub, link, rules.sides, rules.policy))
        source.touch(source.records[native_id])
        hub = look(hub, still, source, native_id, rules)

    # then
    for link in hub.links:
        assert due_fields(hub, link, rules.sides, rules.policy) == {}
    for name in FIELDS:
        if name == "tags" or winner == "latest":
            continue
        side = "origin" if winner == "detector" else "mirror"
        both_changed = all(
            getattr(wanted[one], name) != getattr(first[one], name) for one in wanted
        )
        if both_changed and getattr(wanted["origin"], name) != getattr(wanted["mirror"], name):
            assert agree(name, hub.fields, wanted[side])


def agree(name: str, one: IncidentFields, other: IncidentFields) -> bool:
    if name == "description":
        return (getattr(one, name) or "")[:50] == (getattr(other, name) or "")[:50]
    return bool(getattr(one, name) == getattr(other, name))


def test_a_key_is_found_in_a_text_only_where_it_is_whole() -> None:
    # given
    key = "a2b3c4d5e6f7a2b3"

    # when
    found = keys_in(f"[quell {key}] hello [quell {key[:-1]}] [quell {key.upper()}]")

    # then
    assert found == frozenset({key})
