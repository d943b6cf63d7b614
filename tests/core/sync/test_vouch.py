"""Which values the product that detects gave itself: only these may set off containment."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sync_world import TENANT, World

from quell.domain.incident import IncidentFields, Severity
from quell.errors import Unreachable
from quell.journal import incidents
from quell.sync import SyncPolicy

pytestmark = pytest.mark.anyio


def vouched(world: World, native_id: str = "7") -> IncidentFields | None:
    return world.journal.ask_now(incidents.view(TENANT, world.hub(native_id).id)).vouched


def said(world: World, name: str) -> Any:
    return getattr(vouched(world), name)


def named(world: World, **policy: Any) -> None:
    """Go on with another policy."""
    world.policy = SyncPolicy(mode="replica", **policy)
    world.sync = world.fresh_sync()


async def test_what_the_detecting_product_says_first_is_vouched_for(world: World) -> None:
    # given / when
    world.origin.add("7", severity=Severity.MEDIUM, tags=frozenset({"a"}))
    await world.settle()

    # then
    assert said(world, "severity") is Severity.MEDIUM
    assert said(world, "tags") == frozenset({"a"})


async def test_a_mirrors_user_changes_the_incident_and_not_what_is_vouched_for(
    world: World,
) -> None:
    # given
    world.origin.add("7", severity=Severity.LOW)
    await world.settle()

    # when
    world.mirror.edit(world.copy_of("7"), severity=Severity.HIGH, tags=frozenset({"x"}))
    await world.settle()
    world.origin.touch(world.origin.records["7"])
    await world.settle()

    # then: it was carried over, and its echo is nobody's word
    assert world.origin.fields_of("7").severity is Severity.HIGH
    assert world.hub("7").fields.severity is Severity.HIGH
    assert said(world, "severity") is Severity.LOW
    assert said(world, "tags") == frozenset()


async def test_the_echo_of_a_write_whose_answer_was_lost_is_nobodys_word(world: World) -> None:
    # given
    world.origin.add("7", severity=Severity.LOW)
    await world.settle()

    # when
    world.origin.silences["update"] = [Unreachable(endpoint="PATCH")]
    world.mirror.edit(world.copy_of("7"), severity=Severity.HIGH)
    await world.settle()

    # then
    assert world.origin.fields_of("7").severity is Severity.HIGH
    assert said(world, "severity") is Severity.LOW


async def test_a_later_word_of_the_detecting_product_counts(world: World) -> None:
    # given
    world.origin.add("7", severity=Severity.LOW)
    await world.settle()
    world.mirror.edit(world.copy_of("7"), severity=Severity.MEDIUM, tags=frozenset({"x"}))
    await world.settle()

    # when
    world.origin.edit("7", severity=Severity.HIGH, tags=frozenset({"x", "y"}))
    await world.settle()

    # then
    assert said(world, "severity") is Severity.HIGH
    assert said(world, "tags") == frozenset({"y"})


async def test_the_same_word_by_the_detecting_product_itself_counts(world: World) -> None:
    # given
    world.origin.add("7", severity=Severity.LOW)
    await world.settle()

    # when: both say it before either is carried over
    world.mirror.edit(world.copy_of("7"), severity=Severity.HIGH)
    world.origin.edit("7", severity=Severity.HIGH)
    await world.sync.poll(world.mirror.source_id)
    await world.sync.poll(world.origin.source_id)

    # then
    assert said(world, "severity") is Severity.HIGH


async def test_a_word_that_the_vendors_connector_carried_over_does_not_count(world: World) -> None:
    # given: a copy that the product's own connector made
    world.origin.add("7", severity=Severity.LOW)
    copy = world.mirror.add("theirs")
    copy.counterpart = ("detector", "7")
    copy.proofs = world.origin.records["7"].proofs
    copy.native.update(world.mirror.to_native(world.origin.fields_of("7")))
    await world.settle()
    assert world.copy_of("7") == "theirs"

    # when
    world.mirror.edit("theirs", severity=Severity.HIGH)
    await world.sync.poll(world.mirror.source_id)
    world.origin.edit("7", severity=Severity.HIGH)
    await world.sync.poll(world.origin.source_id)

    # then
    assert said(world, "severity") is Severity.LOW


async def test_a_losing_word_of_the_detecting_product_still_counts(world: World) -> None:
    # given
    named(world, default="mirror")
    world.origin.add("7", severity=Severity.LOW)
    await world.settle()

    # when
    world.origin.edit("7", severity=Severity.HIGH)
    world.mirror.edit(world.copy_of("7"), severity=Severity.MEDIUM)
    await world.sync.poll(world.mirror.source_id)
    await world.sync.poll(world.origin.source_id)

    # then
    assert said(world, "severity") is Severity.HIGH


async def test_policy_can_name_a_mirrors_users(world: World) -> None:
    # given
    named(world, authority=frozenset({"mirror"}))
    world.origin.add("7", severity=Severity.LOW)
    await world.settle()

    # when
    world.mirror.edit(world.copy_of("7"), severity=Severity.HIGH)
    await world.settle()

    # then
    assert said(world, "severity") is Severity.HIGH


async def test_an_incident_that_began_in_a_mirror_is_vouched_for_there(world: World) -> None:
    # given / when
    world.mirror.add("native", severity=Severity.MEDIUM)
    await world.settle()
    world.mirror.edit("native", severity=Severity.HIGH)
    await world.settle()

    # then
    hub = world.hub("native", world.mirror)
    view = world.journal.ask_now(incidents.view(TENANT, hub.id))
    assert view.vouched is not None
    assert view.vouched.severity is Severity.HIGH
    assert world.origin.records == {}


async def test_a_copy_that_claims_an_original_vouches_for_nothing(world: World) -> None:
    # given / when: its original has not been seen
    copy = world.mirror.add("theirs", severity=Severity.HIGH)
    copy.counterpart = ("detector", "7")
    await world.settle()
    world.mirror.edit("theirs", severity=Severity.MEDIUM)
    await world.settle()

    # then
    hub = world.hub("theirs", world.mirror)
    assert world.journal.ask_now(incidents.view(TENANT, hub.id)).vouched is None


async def test_an_original_that_is_met_after_its_copy_takes_the_word(world: World) -> None:
    # given
    copy = world.mirror.add("theirs", severity=Severity.HIGH)
    copy.counterpart = ("detector", "7")
    copy.proofs = frozenset({"detector:7"})
    await world.settle()

    # when
    world.origin.add("7", severity=Severity.LOW)
    await world.settle()

    # then
    assert world.hub("7").id == world.hub("theirs", world.mirror).id
    assert said(world, "severity") is Severity.LOW


async def test_what_quell_writes_for_a_playbook_is_nobodys_word(world: World) -> None:
    # given
    world.origin.add("7", severity=Severity.LOW)
    await world.settle()

    # when
    hub = world.hub("7")
    await world.sync.desk.update(hub.id, {"severity": "high"}, key="k", run_id="r1")
    await world.settle()

    # then
    assert world.origin.fields_of("7").severity is Severity.HIGH
    assert said(world, "severity") is Severity.LOW
