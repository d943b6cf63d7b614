"""What no journal can hold is marked wherever it stands, always alike."""

from __future__ import annotations

import pytest
from tests.sync_model import START

from quell.domain.ids import SourceId
from quell.domain.incident import Alert, Comment, IncidentFields, Task
from quell.domain.ports import ObservedIncident
from quell.sync.reading.clean import cleaned


def observed(text: str) -> ObservedIncident:
    return ObservedIncident(
        source_id=SourceId("s"),
        native_id="1",
        native={"title": text, "tags": [text]},
        fields=IncidentFields(title=text, tags=frozenset({text})),
        changed_at=START,
        comments=(Comment(key="k", text=text, author=text, created=START),),
        alerts=(Alert(id="a", title=text, raw={"nested": [{"x": text}]}),),
        tasks=(Task(key="t", title=text),),
        raw={text: [text, {"y": text}]},
    )


@pytest.mark.parametrize(
    ("text", "marked"), [("a\x00b", "a\ufffdb"), ("a\udc00b", "a?b")], ids=["nul", "surrogate"]
)
def test_it_is_marked_in_every_part_of_an_incident(text: str, marked: str) -> None:
    assert cleaned(observed(text)) == observed(marked)
    assert cleaned(cleaned(observed(text))) == cleaned(observed(text))


def test_what_needs_no_mark_is_left_as_it_is() -> None:
    seen = observed("a\x1b\u202e\\u0000 <b>\U0001f600")
    assert cleaned(seen) == seen
