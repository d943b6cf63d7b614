"""Which parts of a listed incident are fetched: what the list shows to have changed, no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest

from quell.domain.hub import Link, Shadow
from quell.domain.ids import IncidentId, LinkId, SourceId
from quell.domain.incident import Alert, IncidentFields
from quell.domain.ports import Detail, ObservedIncident
from quell.sync.reading.details import missing_parts

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ALL = frozenset(Detail)
ALERTS, COMMENTS, TASKS = Detail.ALERTS, Detail.COMMENTS, Detail.TASKS


def listed(**parts: Any) -> ObservedIncident:
    """Give an incident as a list with counts and version tokens shows it."""
    shown: dict[str, Any] = {
        "source_id": SourceId("s"), "native_id": "1", "native": {"title": "t"},
        "fields": IncidentFields(title="t"), "stamp": "1", "etag": "v1", "changed_at": NOW,
        "created_at": NOW, "alert_count": 1, "comment_count": 1,
    }  # fmt: skip
    return ObservedIncident(**{**shown, **parts})


def link_to(seen: ObservedIncident, **parts: Any) -> Link:
    """Give the link to a copy that was last read like that."""
    said = Shadow(native=seen.native, fields=seen.fields)
    link = Link(
        id=LinkId("l"), incident_id=IncidentId("i"), source_id=seen.source_id, system="s",
        native_id=seen.native_id, shadow=said, observed=said, etag=seen.etag, stamp=seen.stamp,
        changed_at=seen.changed_at, alert_count=seen.alert_count,
        comment_count=seen.comment_count, seen_at=NOW,
    )  # fmt: skip
    return msgspec.structs.replace(link, **parts)


KNOWN = link_to(listed())


def named(value: Any) -> str:
    """Name a parameter the same in every process: a set has no order."""
    if isinstance(value, set | frozenset):
        return "+".join(sorted(cast("frozenset[str]", value)))
    return str(value)


@pytest.mark.parametrize(
    ("parts", "missing"),
    [
        ({}, ALL),
        ({"comment_count": 0}, {ALERTS, TASKS}),
        ({"alert_count": 0, "comment_count": 0}, set[Detail]()),
        ({"alerts": (), "comments": ()}, set[Detail]()),
        ({"is_deleted": True}, set[Detail]()),
        ({"merged_into": "2"}, {COMMENTS, TASKS}),
        ({"created_for": "origin/1"}, {COMMENTS, TASKS}),
        ({"alert_count": None, "comment_count": None}, ALL),
    ],
    ids=named,
)
def test_of_an_unknown_incident_everything_is_fetched_that_it_can_have(
    parts: dict[str, Any], missing: set[Detail]
) -> None:
    assert missing_parts(None, listed(**parts)) == missing


@pytest.mark.parametrize(
    ("parts", "missing"),
    [
        ({}, set[Detail]()),
        # another field: that is what the new version token tells of
        ({"native": {"title": "x"}, "etag": "v2", "stamp": "2"}, set[Detail]()),
        ({"comment_count": 2, "etag": "v2"}, {COMMENTS}),
        ({"comment_count": 0, "etag": "v2"}, {COMMENTS}),
        ({"alert_count": 2, "etag": "v2"}, {ALERTS}),
        # nothing that a list shows: an edited comment, a task, an alert's status
        ({"etag": "v2", "stamp": "2"}, {ALERTS, COMMENTS, TASKS}),
    ],
    ids=named,
)
def test_of_a_known_incident_only_what_changed_is_fetched(
    parts: dict[str, Any], missing: set[Detail]
) -> None:
    assert missing_parts(KNOWN, listed(**parts)) == missing


def test_a_version_that_a_write_of_ours_made_is_no_reason_to_fetch() -> None:
    ours = msgspec.structs.replace(KNOWN, etag="", comment_count=2)
    seen = listed(etag="v3", stamp="3", comment_count=2)
    assert missing_parts(ours, seen) == frozenset()
    assert missing_parts(ours, listed(etag="v4", comment_count=3)) == {COMMENTS}


def test_the_alerts_of_a_copy_are_not_fetched_where_the_original_is_known() -> None:
    assert missing_parts(None, listed(), has_original=True) == {COMMENTS, TASKS}
    assert missing_parts(KNOWN, listed(alert_count=5, etag="v2"), has_original=True) == frozenset()


def test_a_check_asks_also_for_what_changes_without_a_sign() -> None:
    renamed = {"native": {"title": "x"}, "etag": "v2", "stamp": "2"}
    assert missing_parts(KNOWN, listed(**renamed), is_check=True) == {COMMENTS, TASKS}
    assert missing_parts(KNOWN, listed(comment_count=0, etag="v2"), is_check=True) >= {TASKS}
    assert missing_parts(None, listed(comments=(), alerts=()), is_check=True) == frozenset()


def fresh(**parts: Any) -> ObservedIncident:
    """Give an incident as a list without counts shows it, with changed alerts besides."""
    began = NOW - timedelta(hours=1)
    news = {"alert_count": None, "comments": (), "etag": "", "news_since": began}
    return listed(**{**news, "news": (Alert(id="a", title="a"),), **parts})


@pytest.mark.parametrize(
    ("parts", "missing"),
    [
        ({}, set[Detail]()),
        # it began before the changed alerts were read: there may be more of them
        ({"created_at": NOW - timedelta(hours=2)}, {ALERTS, TASKS}),
        ({"created_at": None}, {ALERTS, TASKS}),
        # an incident without any alert: they may not be visible yet
        ({"news": ()}, {ALERTS, TASKS}),
        ({"news_since": None}, {ALERTS, TASKS}),
        ({"merged_into": "2", "news": ()}, set[Detail]()),
    ],
    ids=named,
)
def test_an_unknown_incident_that_came_with_its_alerts_is_not_fetched(
    parts: dict[str, Any], missing: set[Detail]
) -> None:
    assert missing_parts(None, fresh(**parts)) == missing


def test_a_known_incident_is_fetched_only_where_its_news_may_not_be_all() -> None:
    known = link_to(fresh(), alert_count=None)
    later = {"stamp": "2", "changed_at": NOW + timedelta(minutes=5)}
    assert missing_parts(known, fresh(**later)) == frozenset()
    assert missing_parts(known, fresh(**later, news=())) == frozenset()
    assert missing_parts(known, fresh(**later, news_since=None)) == {ALERTS}


def test_parts_of_a_product_without_counts_are_fetched_when_its_stamp_is_new() -> None:
    plain = {"alert_count": None, "comment_count": None, "etag": ""}
    known = link_to(listed(**plain))
    assert missing_parts(known, listed(**plain)) == frozenset()
    assert missing_parts(known, listed(**plain, stamp="2")) == {ALERTS, COMMENTS}
