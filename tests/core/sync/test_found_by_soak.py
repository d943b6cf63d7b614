"""What random sequences found once, kept as the smallest sequence that shows it."""

from __future__ import annotations

import pytest
from tests.sync_world import World

from quell.domain.incident import Severity
from quell.errors import ServerFailure

pytestmark = pytest.mark.anyio


async def test_what_a_person_adds_to_our_copy_before_we_hear_of_it_is_news(world: World) -> None:
    # given: our copy was made, the answer was lost, and somebody tags it meanwhile
    world.origin.add("7", tags=frozenset({"ours"}))
    failure = ServerFailure(endpoint="model", status=503)
    world.mirror.silences["create"] = [failure]

    def tag(moment: str) -> None:
        if moment == "after create":
            world.mirror.witness = lambda moment: None
            (copy,) = world.mirror.records
            world.mirror.edit(copy, tags=frozenset({"ours", "theirs"}), severity=Severity.HIGH)

    world.mirror.witness = tag

    # when
    await world.settle()

    # then
    assert world.origin.fields_of("7").tags == {"ours", "theirs"}
    assert world.mirror.fields_of(world.copy_of("7")).tags == {"ours", "theirs"}
    assert world.origin.fields_of("7").severity is Severity.HIGH


async def merged(world: World) -> str:
    """Let two incidents be copied and the first be merged into the second; gives its copy."""
    world.origin.add("7")
    world.origin.add("8")
    await world.settle()
    copy = world.copy_of("7")
    world.origin.say("7", "said before")
    await world.settle()
    world.origin.merge("7", "8")
    return copy


async def test_looking_at_a_merged_incident_again_is_no_news(world: World) -> None:
    # given
    await merged(world)
    await world.settle()
    revisions = len(world.revisions("7")), len(world.revisions("8"))

    # when: it is in the list again, and read whole
    world.origin.touch(world.origin.records["7"])
    report = await world.sync.pass_once()

    # then
    assert report.is_quiet
    assert report.revisions == 0
    assert (len(world.revisions("7")), len(world.revisions("8"))) == revisions


async def test_what_is_said_in_a_losers_copy_and_read_after_the_merge_goes_to_the_winner(
    world: World,
) -> None:
    # given
    loser = await merged(world)
    world.mirror.say(loser, "said too late")
    tags = world.mirror.fields_of(loser).tags | {"late"}
    world.mirror.edit(loser, tags=tags)

    # when
    await world.settle()
    await world.settle()

    # then
    kept = world.copy_of("8")
    for texts in (world.origin.texts_of("8"), world.mirror.texts_of(kept)):
        assert sum("said too late" in text for text in texts) == 1
        assert sum("said before" in text for text in texts) == 1
    assert "late" in world.origin.fields_of("8").tags
    assert "late" in world.mirror.fields_of(kept).tags
    assert (await world.sync.pass_once()).applied == 0
