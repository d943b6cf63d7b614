"""The answer to a write of fields: what became of ours, and what somebody has made of it since."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.sync_paper import Paper

from quell.domain.hub import IncidentWrite, Step, WriteKind, WriteState
from quell.domain.incident import Owner
from quell.sync.desk.answers import answered
from quell.sync.plan import new_write

ADA, BOB = Owner(upn="ada"), Owner(upn="bob")


@pytest.fixture
def paper() -> Paper:
    """Give an incident with two copies in step."""
    return Paper()


def sent(paper: Paper, **intended: Any) -> IncidentWrite:
    """Let a write to the copy in the mirror be on its way."""
    write = new_write(
        paper.hub,
        link=paper.there,
        source_id=paper.mirror.source_id,
        kind=WriteKind.UPDATE,
        key="update/x",
        intended=intended,
        now=paper.clock.now(),
    )
    sending = msgspec.structs.replace(write, state=WriteState.SENDING)
    paper.hub = paper.hub.with_write(sending)
    return sending


def answer(paper: Paper, write: IncidentWrite, said: dict[str, Any], **fields: Any) -> Step:
    """Take in an answer with these raw values, and what they mean."""
    seen = paper.mirror.observed("m")
    seen = msgspec.structs.replace(
        seen, native={**seen.native, **said}, fields=seen.fields.replace(fields)
    )
    return answered(paper.hub, write, seen, paper.rules, paper.sighting(), is_guarded=True)


def want(paper: Paper, **fields: Any) -> None:
    """Let the incident say something since the write was planned."""
    paper.hub = paper.hub.replace(fields=paper.hub.fields.replace(fields))


def test_an_owner_that_the_product_completes_is_not_somebodys_choice(paper: Paper) -> None:
    # given: the incident has another owner by now
    write = sent(paper, owner={"who": "ada", "id": None})
    want(paper, owner=BOB)

    # when
    step = answer(paper, write, {"owner": {"who": "ada", "id": "7", "kind": "user"}}, owner=ADA)

    # then
    assert step.hub.fields.owner == BOB
    assert step.conflicts == ()


@pytest.mark.parametrize("said", [{"who": "eve", "id": "8"}, {"who": "eve", "id": None}])
def test_another_owner_in_the_answer_is_somebodys_choice(
    paper: Paper, said: dict[str, Any]
) -> None:
    # given
    write = sent(paper, owner={"who": "ada", "id": None})
    want(paper, owner=ADA)

    # when
    step = answer(paper, write, {"owner": said}, owner=Owner(upn="eve"))

    # then
    assert step.hub.fields.owner == Owner(upn="eve")


def test_an_owner_that_was_taken_away_is_not_completed(paper: Paper) -> None:
    # given: nobody was sent, and the answer names somebody
    write = sent(paper, owner={"who": None, "id": None})

    # when
    step = answer(paper, write, {"owner": {"who": "eve", "id": "8"}}, owner=Owner(upn="eve"))

    # then
    assert step.hub.fields.owner == Owner(upn="eve")


@pytest.mark.parametrize("kept", ["much", "much long…", "MUCH LONGER", "much  longer"])
def test_what_a_product_keeps_of_a_text_is_not_somebodys_change(paper: Paper, kept: str) -> None:
    # given
    write = sent(paper, title="much longer")
    want(paper, title="much longer")

    # when
    step = answer(paper, write, {"title": kept}, title=kept)

    # then
    assert step.hub.fields.title == "much longer"
    assert step.hub.link(write.link_id).echoes["title"].got == kept  # type: ignore[union-attr] # it is there


@pytest.mark.parametrize("made", ["", "other", "much longest"])
def test_another_text_in_the_answer_is_somebodys_change(paper: Paper, made: str) -> None:
    # given
    write = sent(paper, title="much longer")
    want(paper, title="much longer")

    # when
    step = answer(paper, write, {"title": made}, title=made)

    # then
    assert step.hub.fields.title == made


def test_a_value_that_a_product_leaves_as_it_was_is_not_somebodys_change(paper: Paper) -> None:
    # given
    write = sent(paper, title="two")
    want(paper, title="two")

    # when
    step = answer(paper, write, {"title": "one"}, title="one")

    # then
    assert step.hub.fields.title == "two"


def test_a_tag_that_was_put_beside_ours_is_news_and_ours_are_not(paper: Paper) -> None:
    # given: one of ours was taken off again since
    write = sent(paper, tags=["a", "b"])
    want(paper, tags=frozenset({"a"}))

    # when
    step = answer(paper, write, {"tags": ["a", "b", "c"]}, tags=frozenset({"a", "b", "c"}))

    # then
    assert "c" in step.hub.fields.tags
