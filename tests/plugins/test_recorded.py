"""Every recorded payload: what was read, and written again, has lost no field that is known."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from quell.domain.entity import EntityKind
from quell.domain.ids import SourceId
from quell_defender import fields as defender_fields
from quell_defender import mapping as defender
from quell_defender import observed as defender_observed
from quell_defender.evidence import read_all
from quell_defender.patch import patch_body
from quell_microsoft.lenient import items, mapping
from quell_microsoft.spelling import spelled
from quell_sentinel import fields as sentinel_fields
from quell_sentinel import mapping as sentinel
from quell_sentinel import observed as sentinel_observed
from quell_sentinel.bodies import changed_body, task_body
from quell_sentinel.entities import read_entities, read_entity
from quell_sentinel.references import properties_of

#: recorded payloads, beside the checkout or where the variable says
SAMPLES = Path(os.environ.get("QUELL_SAMPLES") or Path(__file__).parents[3] / "shared" / "samples")
SOURCE = SourceId("s")
#: properties of an incident that a PUT replaces
WRITTEN = (
    "title",
    "description",
    "severity",
    "status",
    "classification",
    "classificationReason",
    "classificationComment",
    "owner",
    "labels",
    "firstActivityTimeUtc",
    "lastActivityTimeUtc",
)
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="recorded samples are not here")


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value  # pyright: ignore[reportUnknownVariableType] - JSON of any shape
    inner: list[Any] = [*mapping(value).values(), *items(value)]
    for one in inner:
        yield from objects(one)


def recorded(folder: str, *keys: str) -> list[Any]:
    """List the recorded objects that have one of these keys, in any spelling."""
    return [
        pytest.param(one, id=f"{path.name}-{number}")
        for path in sorted((SAMPLES / folder).glob("*.json"))
        for number, one in enumerate(objects(json.loads(path.read_text("utf-8-sig"))))
        if set(keys) & spelled(one).keys()
    ]


@needs_samples
@pytest.mark.parametrize("raw", recorded("defender", "redirectIncidentId"))
def test_an_incident_of_defender_is_written_as_it_was_read(raw: dict[str, Any]) -> None:
    # when
    seen = defender_observed.observe(SOURCE, raw)
    again = {
        name: defender.project(name, seen.fields, seen.native) for name in defender_fields.WRITABLE
    }
    # then
    assert seen.native_id
    assert all(again[name] is seen.native[name] for name in again)
    sendable = {name: raw for name, raw in again.items() if raw and name in ("title", "tags")}
    assert patch_body("PATCH", sendable).keys() >= {"displayName"}


@needs_samples
@pytest.mark.parametrize("raw", recorded("defender", "evidence", "entities"))
def test_an_alert_of_defender_keeps_its_json_and_says_when_it_was(raw: dict[str, Any]) -> None:
    # when
    alert = defender_observed.read_alert(raw)
    # then
    assert alert.raw == raw
    assert alert.first_activity is not None
    has_end = bool(raw.get("lastActivityDateTime") or raw.get("lastActivity"))
    assert (alert.last_activity is not None) == has_end
    assert alert.last_activity is None or alert.first_activity <= alert.last_activity
    assert alert.product


@needs_samples
@pytest.mark.parametrize("raw", recorded("defender", "evidence", "entities"))
def test_every_recorded_evidence_is_kept_and_named(raw: dict[str, Any]) -> None:
    whole = raw.get("evidence", raw.get("entities"))
    found = read_all(whole)
    assert [one.raw for one in found[: len(items(whole))]] == whole
    assert EntityKind.OTHER not in {one.kind for one in found}


def known(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {name: properties[name] for name in WRITTEN if properties.get(name) is not None}


@needs_samples
@pytest.mark.parametrize("raw", recorded("sentinel", "incidentNumber", "incidentUrl"))
def test_an_incident_of_sentinel_is_written_as_it_was_read(raw: dict[str, Any]) -> None:
    # given: the properties of an incident, in the envelope that they come in
    envelope = {"name": "n", "etag": "e", "properties": raw}
    # when
    seen = sentinel_observed.observe(SOURCE, envelope if "properties" not in raw else raw)
    again = {
        name: sentinel.project(name, seen.fields, seen.native) for name in sentinel_fields.WRITABLE
    }
    # then
    assert all(again[name] is seen.native[name] for name in again)
    body = changed_body("PUT", seen.native, "e", {})
    assert body["properties"] == known(properties_of(raw))


@needs_samples
def test_an_incident_as_a_client_library_spells_it_is_understood() -> None:
    # given
    path = SAMPLES / "sentinel" / "incident_sdk_snakecase_manual.json"
    raw = json.loads(path.read_text("utf-8-sig"))
    # when
    seen = sentinel_observed.observe(SOURCE, raw)
    # then
    assert seen.native_id == raw["name"]
    assert seen.fields.title == raw["title"]
    assert seen.fields.tags == {"test"}
    assert seen.fields.owner is not None
    assert seen.fields.owner.object_id == raw["owner"]["object_id"]
    assert seen.number == "11"
    assert seen.alert_count == 0
    assert seen.raw == raw


def entities() -> list[Any]:
    return [
        one
        for one in recorded("sentinel", "kind")
        if str(one.values[0].get("type", "")).lower().endswith("/entities")
    ]


@needs_samples
@pytest.mark.parametrize("raw", entities())
def test_every_recorded_entity_is_kept_and_named(raw: dict[str, Any]) -> None:
    found = read_entity(raw)
    assert found.raw == raw
    assert found.entity.name


@needs_samples
def test_entities_of_an_alert_s_row_are_followed_from_one_to_the_other() -> None:
    # given
    path = SAMPLES / "sentinel" / "securityalert_entities_idref.json"
    raw = [*json.loads(path.read_text("utf-8-sig")).values(), {"$ref": "8"}]
    # when
    found = read_entities(raw)
    # then
    assert [one.raw for one in found] == raw
    process, again = found[5].entity, found[-1].entity
    assert process == again
    assert process.name == "mimikatz.exe"
    account = getattr(process, "account")  # noqa: B009 - the kind is not known to the checker
    assert account.sid == "S-1-5-20"
    assert {one.kind for one in found} == {
        EntityKind.DEVICE, EntityKind.FILE, EntityKind.PROCESS, EntityKind.USER, EntityKind.OTHER
    }  # fmt: skip


@needs_samples
@pytest.mark.parametrize("name", ["incident_tasks_list.json", "incident_task_put.json"])
def test_a_recorded_task_is_written_as_it_was_read(name: str) -> None:
    sample = json.loads((SAMPLES / "sentinel" / name).read_text("utf-8-sig"))
    tasks = [one for one in objects(sample) if str(one.get("type", "")).endswith("/tasks")]
    assert tasks
    for raw in tasks:
        task = sentinel_observed.read_task(raw)
        written = ("title", "description", "status")
        assert task.key == raw["name"]
        assert task.created_by == "john@contoso.com"
        assert task_body(task)["properties"] == {one: raw["properties"][one] for one in written}


@needs_samples
def test_the_recorded_samples_hold_what_these_tests_are_for() -> None:
    assert len(recorded("defender", "redirectIncidentId")) >= 5
    assert len(recorded("defender", "evidence", "entities")) >= 6
    assert len(recorded("sentinel", "incidentNumber", "incidentUrl")) >= 5
    assert len(entities()) >= 10
